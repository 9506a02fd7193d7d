//! Types, the five plug-in traits, algorithms and the node state machine of a Dynamo-style replicated key-value store.
#![forbid(unsafe_code)]

pub mod error;
pub mod histogram;
pub mod ids;
pub mod limits;
pub mod time;

pub mod codec;
pub mod key;
pub mod mutants;

pub mod causality;

pub mod partitioner;
pub mod replication;
pub mod resolver;
pub mod storage;
pub mod transport;

pub mod record;

pub mod bucket;
pub mod layout;

pub mod tree;

pub mod command;
pub mod view;
pub mod wire;

pub mod replica;

pub mod machine;
pub mod membership;

#[cfg(feature = "testing")]
pub mod testing;

/// The guides for those who write plug-ins: their examples run as tests.
#[cfg(all(doctest, feature = "testing"))]
mod guides {
    #[doc = include_str!("../../docs/storage.md")]
    struct Storage;

    #[doc = include_str!("../../docs/resolver.md")]
    struct Resolver;

    #[doc = include_str!("../../docs/strategy.md")]
    struct Strategy;

    #[doc = include_str!("../../docs/simulation.md")]
    struct Simulation;
}
