//! Three nodes that are connected, each with its handler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::concurrency::{all, first};
use super::handler::{REVERSE, ScriptedHandler, reversed};
use super::network::TransportNetwork;
use crate::ids::NodeId;
use crate::transport::{CallError, Transport};

pub(super) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// A deadline that only a fault lets pass.
pub(super) const AMPLE: Duration = Duration::from_secs(5);
/// By how much a call may end after its deadline.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How long a transport may take to notice that a peer went or came.
const NOTICE: Duration = Duration::from_secs(10);

type Actor = (Arc<dyn Transport>, Arc<ScriptedHandler>);

/// The nodes of one case.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) network: Arc<dyn TransportNetwork>,
    actors: Mutex<Vec<(NodeId, Actor)>>,
}

impl Stage {
    /// Joins and starts all nodes.
    pub(super) async fn set(network: Arc<dyn TransportNetwork>) -> Result<Stage, String> {
        let stage = Stage { network, actors: Mutex::default() };
        for node in NODES {
            stage.enter(node).await?;
        }
        Ok(stage)
    }

    /// Joins and starts a node, in place of any earlier one.
    pub(super) async fn enter(&self, node: NodeId) -> Result<(), String> {
        let transport = self.network.join(node).await;
        let handler = Arc::new(ScriptedHandler::default());
        transport
            .start(handler.clone())
            .await
            .map_err(|error| format!("node {node} does not start: {error}"))?;
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        actors.retain(|(other, _)| *other != node);
        actors.push((node, (transport, handler)));
        Ok(())
    }

    /// Shuts all nodes down.
    pub(super) async fn clear(&self) {
        for node in NODES {
            self.handler(node).gate.open();
        }
        all(NODES.map(|node| {
            let transport = self.transport(node);
            async move { transport.shut_down(Duration::ZERO).await }
        }))
        .await;
    }

    fn actor(&self, node: NodeId) -> Actor {
        let actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        let actor = actors.iter().find(|(other, _)| *other == node).map(|(_, actor)| actor.clone());
        actor.expect("cases name nodes that have entered")
    }

    pub(super) fn transport(&self, node: NodeId) -> Arc<dyn Transport> {
        self.actor(node).0
    }

    pub(super) fn handler(&self, node: NodeId) -> Arc<ScriptedHandler> {
        self.actor(node).1
    }

    /// Calls, and says so if the call outlasts its deadline and the grace.
    pub(super) async fn call(
        &self,
        from: NodeId,
        to: NodeId,
        frame: Bytes,
        deadline: Duration,
    ) -> Result<Result<Bytes, CallError>, String> {
        let transport = self.transport(from);
        let limit = self.network.sleep(deadline + GRACE);
        first(transport.call(to, frame, deadline), limit)
            .await
            .ok_or_else(|| format!("a call with a deadline of {deadline:?} had not ended {GRACE:?} after it"))
    }

    /// Calls with an ample deadline, and wants exactly this answer.
    pub(super) async fn expect(
        &self,
        from: NodeId,
        to: NodeId,
        frame: Bytes,
        answer: Bytes,
    ) -> Result<(), String> {
        let what = format!("a frame of {} bytes from {from} to {to}", frame.len());
        match self.call(from, to, frame, AMPLE).await? {
            Ok(got) if got == answer => Ok(()),
            Ok(got) => Err(format!("{what}: answer {}, wanted {}", brief(&got), brief(&answer))),
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    /// Calls until a result passes `wanted`, or the time in which a transport has to notice is over.
    pub(super) async fn until(
        &self,
        from: NodeId,
        to: NodeId,
        what: &str,
        wanted: impl Fn(&Result<Bytes, CallError>) -> Result<bool, String>,
    ) -> Result<(), String> {
        let frame = Bytes::from(vec![REVERSE, 1, 2, 3]);
        let mut last = Ok(reversed(&frame));
        let trying = async {
            loop {
                last = self.call(from, to, frame.clone(), AMPLE).await?;
                if wanted(&last)? {
                    return Ok(());
                }
                self.network.sleep(Duration::from_millis(20)).await;
            }
        };
        let outcome = first(trying, self.network.sleep(NOTICE)).await;
        outcome.unwrap_or_else(|| Err(format!("{what}; after {NOTICE:?} the last result was {last:?}")))
    }

    /// Waits until `condition` holds.
    pub(super) async fn wait_for(&self, what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
        let waiting = async {
            while !condition() {
                self.network.sleep(Duration::from_millis(2)).await;
            }
        };
        first(waiting, self.network.sleep(AMPLE)).await.ok_or_else(|| format!("{what}: not within {AMPLE:?}"))
    }
}

fn brief(bytes: &Bytes) -> String {
    format!("{} bytes {:?}", bytes.len(), bytes.slice(..bytes.len().min(16)))
}
