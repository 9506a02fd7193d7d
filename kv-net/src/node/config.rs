use std::sync::Arc;

use kv_core::ids::NodeId;
use kv_core::layout::{Member, Partitioning};
use kv_core::limits::Limits;
use kv_core::partitioner::Xxh3Partitioner;
use kv_core::replication::{BalancedPlacement, ReplicationStrategy};
use kv_core::storage::{Durability, Storage};
use kv_core::view::Plugins;

/// What a node is composed of.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its id.
    pub node: NodeId,
    /// Where the other members reach it, `host:port`; empty if that is where the layout says.
    pub address: String,
    /// Its store.
    pub store: Arc<dyn Storage>,
    /// Partitioner and resolvers.
    pub plugins: Plugins,
    /// Places the partitions when this node makes version 1 of the layout.
    pub strategy: Arc<dyn ReplicationStrategy>,
    /// The bounds.
    pub limits: Limits,
    /// The members that version 1 of the layout is made from.
    pub members: Vec<Member>,
    /// Replicas of each key, in version 1 of the layout and in the buckets that a cluster begins with.
    pub replicas: u8,
    /// Partitions of the hash space, a power of two.
    pub partitions: u32,
    /// Durability of the buckets that a cluster begins with.
    pub durability: Durability,
    /// Which share of the operations of clients is followed across nodes and told in spans, from 0 for none to 1 for all. What a peer follows
    /// is told in any case.
    pub trace_sample: f64,
}

impl NodeConfig {
    /// A node with XXH3 partitioning, balanced placement, three replicas and the default bounds.
    pub fn new(node: NodeId, store: impl Storage) -> Self {
        NodeConfig::with_shared_store(node, Arc::new(store))
    }

    /// The same over a store that is shared already.
    pub fn with_shared_store(node: NodeId, store: Arc<dyn Storage>) -> Self {
        NodeConfig {
            node,
            address: String::new(),
            store,
            plugins: Plugins::new(Xxh3Partitioner),
            strategy: Arc::new(BalancedPlacement),
            limits: Limits::default(),
            members: Vec::new(),
            replicas: 3,
            partitions: Partitioning::COUNT_DEFAULT,
            durability: Durability::Synced,
            trace_sample: 0.0,
        }
    }
}
