//! The plug-ins that this server is composed from. A server of one's own begins here.

use std::path::Path;
use std::sync::Arc;

use kv_core::error::Error;
use kv_core::partitioner::Xxh3Partitioner;
use kv_core::replication::{BalancedPlacement, HashRing, ReplicationStrategy};
use kv_core::storage::{MemoryStorage, Storage};
use kv_core::view::Plugins;
use kv_storage::{Creation, LmdbOptions, LmdbStorage};

use crate::config::{Engine, ServerConfig, Strategy};

/// Partitioner and resolvers.
pub(crate) fn plugins() -> Plugins {
    Plugins::new(Xxh3Partitioner)
}

/// The replication strategy.
pub(crate) fn strategy(strategy: Strategy) -> Arc<dyn ReplicationStrategy> {
    match strategy {
        Strategy::Balanced => Arc::new(BalancedPlacement),
        Strategy::HashRing => Arc::new(HashRing::default()),
    }
}

/// Opens the store in `directory`, or makes it where the configuration allows that.
pub(crate) fn open_store(config: &ServerConfig, directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    store(config, config.creation, directory)
}

/// Makes a store in `directory`.
pub(crate) fn make_store(config: &ServerConfig, directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    store(config, Creation::IfMissing, directory)
}

fn store(config: &ServerConfig, creation: Creation, directory: &Path) -> Result<Arc<dyn Storage>, Error> {
    let options = LmdbOptions {
        creation,
        map_bytes: config.map_bytes,
        reserve_bytes: config.reserve_bytes,
        reads_may_block: config.reads_may_block,
        ..LmdbOptions::default()
    };
    Ok(match config.engine {
        Engine::Lmdb => Arc::new(LmdbStorage::open(directory, &options)?),
        Engine::Memory => Arc::new(MemoryStorage::new()),
    })
}
