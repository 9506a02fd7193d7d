//! How a client reaches nodes.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::transport::CallError;

/// The client's side of a transport: carries one frame to the node at an address and brings back its answer.
///
/// Connections are made when they are needed, kept, and made again after they broke.
#[async_trait]
pub trait ClientTransport: Debug + Send + Sync + 'static {
    /// Carries `frame` to the node at `address` and brings back its answer within `deadline`.
    ///
    /// What an address is depends on the transport: `host:port` over TCP, the node's id in a [`LocalNetwork`](super::LocalNetwork).
    ///
    /// # Errors
    ///
    /// [`CallError`] tells whether the request may have been carried out.
    async fn call(&self, address: &str, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError>;

    /// Closes all connections, letting calls under way finish within `grace`. Later calls fail with [`CallError::NotSent`].
    async fn shut_down(&self, grace: Duration);
}
