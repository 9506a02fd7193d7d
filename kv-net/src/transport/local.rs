//! Nodes of one process that hand each other their frames directly.

mod client;
mod network;
mod transport;

pub use client::LocalClient;
pub use network::LocalNetwork;
pub use transport::LocalTransport;
