//! Transports that stop, and callers that go away.

use std::time::Duration;

use bytes::Bytes;

use crate::testing::transport::concurrency::{all, both, first};
use crate::testing::transport::handler::{HOLD, NEVER, REVERSE, reversed};
use crate::testing::transport::stage::{AMPLE, GRACE, NODES, Stage};
use crate::transport::CallError;

pub(super) async fn nothing_hangs(stage: &Stage) -> Result<(), String> {
    let [one, two, three] = NODES;
    let held = Bytes::from(vec![HOLD]);
    let endless = Bytes::from(vec![NEVER]);
    let handler = stage.handler(two);

    // Node 2 stops while its handler works: within the grace the answer still gets out.
    let caller = stage.expect(one, two, held.clone(), reversed(&held));
    let stopper = async {
        let arrived = stage.wait_for("the call arrives", || handler.given(&held) == 1).await;
        let gate = async {
            stage.network.sleep(Duration::from_millis(50)).await;
            handler.gate.open();
        };
        both(shut_down(stage, two, AMPLE), gate).await.0?;
        arrived
    };
    let (answer, stopped) = both(caller, stopper).await;
    stopped?;
    answer.map_err(|why| format!("a handler that finished within the grace of shut_down: {why}"))?;

    // Node 3 stops although a handler never ends: the call ends by its deadline at the latest.
    let caller = stage.call(one, three, endless.clone(), AMPLE);
    let stopper = async {
        stage.wait_for("the call arrives", || stage.handler(three).given(&endless) == 1).await?;
        shut_down(stage, three, Duration::from_millis(100)).await
    };
    let (result, stopped) = both(caller, stopper).await;
    stopped?;
    if let Ok(answer) = result? {
        return Err(format!("an answer that no handler gave: {answer:?}"));
    }

    // Calls from a node that stops while they begin end, and later ones are not sent.
    let frame = Bytes::from(vec![REVERSE]);
    stage.enter(two).await?;
    let calls = all((0..50).map(|_| stage.call(two, one, frame.clone(), AMPLE)));
    let (results, stopped) = both(calls, shut_down(stage, two, Duration::from_millis(100))).await;
    stopped?;
    results.into_iter().collect::<Result<Vec<_>, _>>()?;
    for node in [two, three] {
        match stage.call(node, one, frame.clone(), AMPLE).await? {
            Err(CallError::NotSent(..)) => {}
            other => return Err(format!("a call after shut_down: {other:?}")),
        }
    }
    Ok(())
}

async fn shut_down(stage: &Stage, node: crate::ids::NodeId, grace: Duration) -> Result<(), String> {
    let transport = stage.transport(node);
    let ended = first(transport.shut_down(grace), stage.network.sleep(grace + GRACE)).await;
    ended.ok_or_else(|| format!("shut_down with a grace of {grace:?} had not ended {GRACE:?} after it"))
}

pub(super) async fn carried_out_without_its_caller(stage: &Stage) -> Result<(), String> {
    let [one, two, _] = NODES;
    let handler = stage.handler(two);
    let frames = [Bytes::from(vec![HOLD, 1]), Bytes::from(vec![HOLD, 2])];
    let [expired, dropped] = &frames;
    // One caller whose deadline passes, and one that is dropped.
    if let Ok(answer) = stage.call(one, two, expired.clone(), Duration::from_millis(200)).await? {
        return Err(format!("an answer that the handler has not given: {answer:?}"));
    }
    let arrived = stage.wait_for("the call arrives", || handler.given(dropped) == 1);
    first(stage.call(one, two, dropped.clone(), AMPLE), async { drop(arrived.await) }).await;
    // Time in which news of the callers can reach the other side.
    stage.network.sleep(Duration::from_millis(200)).await;
    handler.gate.open();
    for frame in &frames {
        if handler.given(frame) != 1 {
            return Err("the request did not arrive".into());
        }
        stage.wait_for("the handler finishes without its caller", || handler.finished(frame) == 1).await?;
    }
    Ok(())
}
