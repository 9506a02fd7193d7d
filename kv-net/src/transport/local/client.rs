//! A client in the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::transport::{CallError, Sender};

use super::LocalNetwork;
use crate::transport::ClientTransport;

/// A client of the nodes of a [`LocalNetwork`]; the address of a node is its id in decimal digits.
#[derive(Debug)]
pub struct LocalClient {
    network: Arc<LocalNetwork>,
    stopped: AtomicBool,
}

impl LocalClient {
    pub(super) fn new(network: Arc<LocalNetwork>) -> Self {
        LocalClient { network, stopped: AtomicBool::new(false) }
    }
}

#[async_trait]
impl ClientTransport for LocalClient {
    async fn call(&self, address: &str, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(CallError::NotSent(ErrorKind::ShuttingDown, "this client was shut down".into()));
        }
        let node = address.parse().map(NodeId).map_err(|_| {
            CallError::NotSent(
                ErrorKind::ConnectionFailed,
                format!("'{address}' is no address here: it is the id of a node, like '1'"),
            )
        })?;
        self.network.carry(Sender::Client, node, frame, deadline).await
    }

    async fn shut_down(&self, _grace: Duration) {
        self.stopped.store(true, Ordering::Release);
    }
}
