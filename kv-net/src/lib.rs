//! The tokio side of the framework: the runtime of a node, transports that carry frames between nodes and from clients to nodes, and a client.
#![forbid(unsafe_code)]

pub mod client;
pub mod metrics;
pub mod node;
#[cfg(feature = "resp")]
pub mod resp;
pub mod transport;

pub use client::{Client, ClientBuilder};
pub use node::{Node, NodeConfig, PendingPut};

/// The README, whose examples run as tests.
#[cfg(all(doctest, feature = "tarpc"))]
#[doc = include_str!("../../README.md")]
struct Readme;
