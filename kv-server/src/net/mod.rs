//! The node and the client that this crate is written against. A stand-in with the signatures of `kv_net::{node, client}` and
//! without replication worth the name, until those are here: then this module becomes their re-export.

mod client;
mod node;

pub(crate) use client::Client;
pub(crate) use kv_core::testing::storage::MemoryStorage;
pub(crate) use node::{Node, NodeConfig};
