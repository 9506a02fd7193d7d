//! The tokio side of the framework: transports that carry frames between nodes, and from clients to nodes.
#![forbid(unsafe_code)]

pub mod transport;
