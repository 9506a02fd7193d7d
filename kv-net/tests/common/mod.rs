//! Networks for the conformance suite.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed test")]

pub mod mutants;
#[cfg(feature = "tarpc")]
pub mod tcp;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::ids::{ClusterId, NodeId};
use kv_core::testing::transport::TransportNetwork;
use kv_core::transport::{FrameHandler, Sender, Transport};
use kv_net::transport::LocalNetwork;

pub const FRAME_BYTES_MAX: usize = 1 << 20;
pub const CLUSTER: ClusterId = ClusterId(77);

/// Three nodes in this process.
#[derive(Debug)]
pub struct Local(Arc<LocalNetwork>);

impl Local {
    pub fn new() -> Self {
        Local(LocalNetwork::with_frame_bytes_max(FRAME_BYTES_MAX))
    }
}

#[async_trait]
impl TransportNetwork for Local {
    async fn join(&self, node: NodeId) -> Arc<dyn Transport> {
        self.0.join(node)
    }

    fn frame_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// An address of this machine that no other test uses, so that a port can be taken again after a restart.
pub fn own_loopback() -> String {
    let [a, b, c] = [(); 3].map(|()| rand::random_range(1..=254_u8));
    format!("127.{a}.{b}.{c}:0")
}

/// Answers with who the sender is.
#[derive(Debug)]
struct Who;

#[async_trait]
impl FrameHandler for Who {
    async fn handle(&self, sender: Sender, _frame: Bytes) -> Bytes {
        format!("{sender:?}").into()
    }
}

pub fn who_handler() -> Arc<dyn FrameHandler> {
    Arc::new(Who)
}
