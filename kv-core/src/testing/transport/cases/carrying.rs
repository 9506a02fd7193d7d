//! Calls between nodes that are well.

use std::time::Duration;

use bytes::Bytes;

use crate::testing::transport::concurrency::{all, both};
use crate::testing::transport::handler::{HOLD, REVERSE, WHO, name_of, reversed};
use crate::testing::transport::stage::{AMPLE, NODES, Stage};
use crate::transport::Sender;

/// Most calls that the case of many under way makes at a time.
const MANY: u32 = 200;

fn numbered(command: u8, number: u32) -> Bytes {
    [&[command][..], &number.to_be_bytes()].concat().into()
}

fn each(results: Vec<Result<(), String>>) -> Result<(), String> {
    results.into_iter().collect()
}

pub(super) async fn byte_for_byte(stage: &Stage) -> Result<(), String> {
    let sizes = [0, 1, 2, 255, 256, 1_000, 8_191, 8_192, 8_193, 65_535, 65_536, 65_537, 1_000_000];
    for (from, to) in pairs() {
        for size in sizes.into_iter().filter(|size| *size <= stage.network.frame_bytes_max()) {
            let mut bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ (size % 241) as u8).collect();
            if let Some(first) = bytes.first_mut() {
                *first = REVERSE;
            }
            let frame = Bytes::from(bytes);
            let before = stage.handler(to).given(&frame);
            stage.expect(from, to, frame.clone(), reversed(&frame)).await?;
            if stage.handler(to).given(&frame) == before {
                return Err(format!(
                    "the handler of {to} was not given the frame of {size} bytes as it was sent"
                ));
            }
        }
    }
    Ok(())
}

pub(super) async fn many_at_a_time(stage: &Stage) -> Result<(), String> {
    let [one, two, three] = NODES;
    let handler = stage.handler(three);
    // Node 3 answers nobody before it was given every frame.
    let calls = all((0..MANY).map(|number| async move {
        let frame = numbered(HOLD, number);
        let from = if number % 2 == 0 { one } else { two };
        stage.expect(from, three, frame.clone(), reversed(&frame)).await
    }));
    let opening = async {
        let arrived = stage
            .wait_for("all calls are under way at a time", || handler.given_in_all() >= MANY as usize)
            .await
            .map_err(|late| format!("{late}; {} of {MANY} arrived", handler.given_in_all()));
        handler.gate.open();
        arrived
    };
    let (results, arrived) = both(calls, opening).await;
    arrived?;
    each(results)
}

pub(super) async fn true_sender(stage: &Stage) -> Result<(), String> {
    for (from, to) in pairs() {
        for number in 0..8 {
            stage.expect(from, to, numbered(WHO, number), name_of(Sender::Peer(from))).await?;
        }
    }
    Ok(())
}

pub(super) async fn slow_delays_nobody(stage: &Stage) -> Result<(), String> {
    let [one, two, _] = NODES;
    let handler = stage.handler(two);
    let held = Bytes::from(vec![HOLD]);
    let slow = async {
        let answer = stage.call(one, two, held.clone(), AMPLE * 4).await?;
        answer.map_err(|error| format!("the slow call: {error}"))
    };
    let quick = async {
        let result = async {
            stage.wait_for("the slow call arrives", || handler.given(&held) == 1).await?;
            each(
                all((0..32).map(|number| async move {
                    let frame = numbered(REVERSE, number);
                    stage.expect(one, two, frame.clone(), reversed(&frame)).await
                }))
                .await,
            )
        }
        .await;
        handler.gate.open();
        result.map_err(|why| format!("while a handler is slow: {why}"))
    };
    let (slow, quick) = both(slow, quick).await;
    quick?;
    slow.map(|_| ())
}

pub(super) async fn at_most_once(stage: &Stage) -> Result<(), String> {
    let [one, two, three] = NODES;
    let answered: Vec<Bytes> = (0..50).map(|number| numbered(REVERSE, number)).collect();
    let late: Vec<Bytes> = (0..10).map(|number| numbered(HOLD, number)).collect();
    for to in [two, three] {
        each(all(answered.iter().map(|frame| stage.expect(one, to, frame.clone(), reversed(frame)))).await)?;
        // Calls whose deadline passes are what a transport may be tempted to make again.
        let calls = late.iter().map(|frame| stage.call(one, to, frame.clone(), Duration::from_millis(100)));
        for result in all(calls).await {
            if let Ok(answer) = result? {
                return Err(format!("an answer that the handler has not given: {answer:?}"));
            }
        }
        stage.handler(to).gate.open();
        stage.network.sleep(Duration::from_millis(200)).await;
        for frame in &answered {
            match stage.handler(to).given(frame) {
                1 => {}
                times => return Err(format!("an answered request was given to the handler {times} times")),
            }
        }
        if let Some(times) = late.iter().map(|frame| stage.handler(to).given(frame)).find(|times| *times > 1)
        {
            return Err(format!("a request without an answer was given to the handler {times} times"));
        }
    }
    Ok(())
}

fn pairs() -> impl Iterator<Item = (crate::ids::NodeId, crate::ids::NodeId)> {
    NODES
        .into_iter()
        .flat_map(|from| NODES.into_iter().filter(move |to| *to != from).map(move |to| (from, to)))
}
