//! The transport of one node of a local network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::transport::{CallError, FrameHandler, Sender, Transport};
use tokio_util::task::TaskTracker;

use super::LocalNetwork;
use super::network::Receiver;

/// Carries frames between nodes of one process, without copying them.
#[derive(Debug)]
pub struct LocalTransport {
    network: Arc<LocalNetwork>,
    node: NodeId,
    handlers_running: TaskTracker,
    started: AtomicBool,
    stopped: AtomicBool,
}

impl LocalTransport {
    pub(super) fn new(network: Arc<LocalNetwork>, node: NodeId) -> Self {
        LocalTransport {
            network,
            node,
            handlers_running: TaskTracker::new(),
            started: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn start(&self, handler: Arc<dyn FrameHandler>) -> Result<(), Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::ShuttingDown,
                "this transport was shut down: join the network anew",
            ));
        }
        let receiver = Receiver { handler, handlers_running: self.handlers_running.clone() };
        if !self.network.enter(self.node, receiver) {
            return Err(Error::new(
                ErrorKind::DuplicateNode,
                format!("node {} is in this network already: shut it down first", self.node),
            ));
        }
        self.started.store(true, Ordering::Release);
        Ok(())
    }

    async fn call(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(CallError::NotSent(ErrorKind::ShuttingDown, "this transport was shut down".into()));
        }
        self.network.carry(Sender::Peer(self.node), peer, frame, deadline).await
    }

    async fn shut_down(&self, grace: Duration) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.started.load(Ordering::Acquire) {
            self.network.leave(self.node);
        }
        self.handlers_running.close();
        // Handlers that need longer go on without anybody who waits for them.
        let _ = tokio::time::timeout(grace, self.handlers_running.wait()).await;
    }
}

impl Drop for LocalTransport {
    fn drop(&mut self) {
        if self.started.load(Ordering::Acquire) && !self.stopped.load(Ordering::Acquire) {
            self.network.leave(self.node);
        }
    }
}
