//! What an implementer provides to have a transport tested.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::NodeId;
use crate::transport::Transport;

/// A network whose nodes 1, 2 and 3 can reach each other, and a clock.
#[async_trait]
pub trait TransportNetwork: Debug + Send + Sync + 'static {
    /// The transport of `node`, not started. Called again for the same node after its transport was shut down: the new one takes
    /// its place, at the same address.
    async fn join(&self, node: NodeId) -> Arc<dyn Transport>;

    /// The largest frame that the transports carry, in bytes; 64 KiB to 4 MiB make a good test.
    fn frame_bytes_max(&self) -> usize;

    /// Waits.
    async fn sleep(&self, time: Duration);
}
