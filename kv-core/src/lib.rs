//! Types, the five plug-in traits, algorithms and the node state machine of a Dynamo-style replicated key-value store.
#![forbid(unsafe_code)]

pub mod error;
pub mod ids;
pub mod limits;
pub mod time;

pub mod codec;
pub mod key;

pub mod causality;

pub mod partitioner;
pub mod replication;
pub mod resolver;
pub mod storage;
pub mod transport;

pub mod layout;

#[cfg(feature = "testing")]
pub mod testing;
