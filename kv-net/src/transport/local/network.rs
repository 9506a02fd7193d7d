//! The nodes that can reach each other in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::limits::Limits;
use kv_core::transport::{CallError, FrameHandler, Sender};
use parking_lot::RwLock;
use tokio_util::task::TaskTracker;

use super::{LocalClient, LocalTransport};
use crate::transport::detached::{Begun, begin};

/// A network inside one process: for examples, tests, and nodes that share a process.
///
/// # Examples
///
/// ```
/// use kv_core::ids::NodeId;
/// use kv_net::transport::LocalNetwork;
///
/// let network = LocalNetwork::new();
/// let transports = [1, 2, 3].map(|id| network.join(NodeId(id)));
/// let client = network.client();
/// # let _ = (transports, client);
/// ```
#[derive(Debug)]
pub struct LocalNetwork {
    nodes: RwLock<HashMap<NodeId, Receiver>>,
    frame_bytes_max: usize,
}

/// A node that receives.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) handler: Arc<dyn FrameHandler>,
    pub(super) handlers_running: TaskTracker,
}

impl LocalNetwork {
    /// An empty network with the default bound on frames.
    pub fn new() -> Arc<Self> {
        Self::with_frame_bytes_max(Limits::default().frame_bytes_max)
    }

    /// An empty network that refuses frames of more than `frame_bytes_max` bytes.
    pub fn with_frame_bytes_max(frame_bytes_max: usize) -> Arc<Self> {
        Arc::new(LocalNetwork { nodes: RwLock::default(), frame_bytes_max })
    }

    /// The transport of `node`. It receives nothing until it is started.
    pub fn join(self: &Arc<Self>, node: NodeId) -> Arc<LocalTransport> {
        Arc::new(LocalTransport::new(self.clone(), node))
    }

    /// A client of any node of the network; the address of a node is its id in decimal digits.
    pub fn client(self: &Arc<Self>) -> Arc<LocalClient> {
        Arc::new(LocalClient::new(self.clone()))
    }

    /// Enters a node; refused while another of the same id is entered.
    pub(super) fn enter(&self, node: NodeId, receiver: Receiver) -> bool {
        match self.nodes.write().entry(node) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(receiver);
                true
            }
            std::collections::hash_map::Entry::Occupied(_) => false,
        }
    }

    pub(super) fn leave(&self, node: NodeId) {
        self.nodes.write().remove(&node);
    }

    /// Hands `frame` to the handler of `to` and waits for its answer until `deadline`; the handler goes on after that.
    pub(super) async fn carry(
        &self,
        sender: Sender,
        to: NodeId,
        frame: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.check_size(&frame).map_err(|what| CallError::NotSent(ErrorKind::FrameTooLarge, what))?;
        let receiver = self.nodes.read().get(&to).cloned().ok_or_else(|| {
            CallError::NotSent(ErrorKind::ConnectionFailed, format!("node {to} is not in this network"))
        })?;
        let answer = match begin(&receiver.handler, sender, frame) {
            Begun::Finished(answer) => answer,
            Begun::Waiting(handling) => {
                let running = receiver.handlers_running.spawn(handling);
                match tokio::time::timeout(deadline, running).await {
                    Ok(answer) => answer.ok().flatten(),
                    Err(_) => {
                        return Err(CallError::NoAnswer(
                            ErrorKind::DeadlineExceeded,
                            format!("node {to} did not answer within {deadline:?}"),
                        ));
                    }
                }
            }
        };
        let answer = answer.ok_or_else(|| {
            CallError::NoAnswer(ErrorKind::Internal, format!("the handler of node {to} panicked"))
        })?;
        self.check_size(&answer).map_err(|what| CallError::NoAnswer(ErrorKind::FrameTooLarge, what))?;
        Ok(answer)
    }

    fn check_size(&self, frame: &Bytes) -> Result<(), String> {
        if frame.len() <= self.frame_bytes_max {
            return Ok(());
        }
        Err(format!("a frame of {} bytes is above frame_bytes_max = {}", frame.len(), self.frame_bytes_max))
    }
}
