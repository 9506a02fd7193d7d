//! Calls that cannot succeed, and what they leave behind.

use std::time::Duration;

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::ids::NodeId;
use crate::testing::transport::concurrency::both;
use crate::testing::transport::handler::{GROW, HOLD, NEVER, REVERSE, reversed};
use crate::testing::transport::stage::{AMPLE, NODES, Stage};
use crate::transport::CallError;

pub(super) async fn ends_by_its_deadline(stage: &Stage) -> Result<(), String> {
    let [one, two, _] = NODES;
    for deadline in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(300)] {
        let result = stage.call(one, two, Bytes::from(vec![NEVER]), deadline).await?;
        match result {
            Err(CallError::NoAnswer(ErrorKind::DeadlineExceeded, _)) => {}
            // A deadline that passes before there is a connection.
            Err(CallError::NotSent(ErrorKind::DeadlineExceeded, _))
                if deadline < Duration::from_millis(300) => {}
            other => return Err(format!("a deadline of {deadline:?} passed with {other:?}")),
        }
    }
    // Nothing has to be as short as the shortest that was used before it.
    let frame = Bytes::from(vec![REVERSE, 5]);
    stage.expect(one, two, frame.clone(), reversed(&frame)).await
}

pub(super) async fn unreachable_and_back(stage: &Stage) -> Result<(), String> {
    let [one, two, three] = NODES;
    match stage.call(one, NodeId(99), Bytes::from(vec![REVERSE]), AMPLE).await? {
        Err(CallError::NotSent(..)) => {}
        other => return Err(format!("a call to a node that never was: {other:?}")),
    }
    let frame = Bytes::from(vec![REVERSE, 9]);
    for from in [one, three] {
        stage.expect(from, two, frame.clone(), reversed(&frame)).await?;
    }
    for _ in 0..2 {
        let before = stage.handler(two);
        let count = before.given_in_all();
        stage.transport(two).shut_down(Duration::ZERO).await;
        for from in [one, three] {
            stage
                .until(from, two, "a call to a peer that was stopped has to fail as NotSent", |result| {
                    match result {
                        Ok(_) => Err("a peer that was stopped answers".into()),
                        Err(CallError::NotSent(..)) => Ok(true),
                        // What was on its way when the connection broke.
                        Err(CallError::NoAnswer(..)) => Ok(false),
                    }
                })
                .await?;
        }
        if before.given_in_all() != count {
            return Err("a peer that was stopped is given frames".into());
        }
        stage.enter(two).await?;
        for from in [one, three] {
            stage
                .until(from, two, "a call to a peer that was restarted has to succeed again", |result| {
                    Ok(result.is_ok())
                })
                .await?;
        }
        stage.expect(two, one, frame.clone(), reversed(&frame)).await?;
    }
    Ok(())
}

pub(super) async fn too_large(stage: &Stage) -> Result<(), String> {
    let [one, two, _] = NODES;
    let max = stage.network.frame_bytes_max();
    let handler = stage.handler(two);
    let held = Bytes::from(vec![HOLD]);
    let bystander = stage.expect(one, two, held.clone(), reversed(&held));
    let offending = async {
        let result = async {
            stage.wait_for("the bystander's call arrives", || handler.given(&held) == 1).await?;
            offend(stage, max).await
        }
        .await;
        handler.gate.open();
        result
    };
    let (bystander, offending) = both(bystander, offending).await;
    offending?;
    bystander.map_err(|why| format!("another call while frames were refused: {why}"))?;
    // The largest that is allowed, both ways.
    let largest: Bytes = vec![REVERSE; max].into();
    stage.expect(one, two, largest.clone(), largest).await
}

async fn offend(stage: &Stage, max: usize) -> Result<(), String> {
    let [one, two, _] = NODES;
    let frame: Bytes = vec![REVERSE; max + 1].into();
    match stage.call(one, two, frame.clone(), AMPLE).await? {
        Err(CallError::NotSent(ErrorKind::FrameTooLarge, _)) => {}
        other => return Err(format!("a frame above the bound: {}", shown(&other))),
    }
    if stage.handler(two).given(&frame) != 0 {
        return Err("a frame above the bound was given to the handler".into());
    }
    let request = Bytes::from([&[GROW][..], (max + 1).to_string().as_bytes()].concat());
    match stage.call(one, two, request, AMPLE).await? {
        Err(CallError::NoAnswer(ErrorKind::FrameTooLarge, _)) => Ok(()),
        other => Err(format!("an answer above the bound: {}", shown(&other))),
    }
}

fn shown(result: &Result<Bytes, CallError>) -> String {
    match result {
        Ok(answer) => format!("an answer of {} bytes", answer.len()),
        Err(error) => format!("{error:?}"),
    }
}
