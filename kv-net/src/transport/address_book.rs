//! Where nodes can be reached, as far as anybody here knows.

use std::collections::HashMap;
use std::sync::Arc;

use kv_core::ids::NodeId;
use parking_lot::RwLock;

/// The addresses of nodes: `host:port`, where the host may be a name that is resolved at each connect.
///
/// Shared between a node, which learns addresses from its configuration and from gossip, and its transport. A changed address
/// is used by the next connection; it bounds itself by the members that the node puts into it.
#[derive(Debug, Default)]
pub struct AddressBook {
    addresses: RwLock<HashMap<NodeId, Arc<str>>>,
}

impl AddressBook {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// The address of `node`, if it is known.
    pub fn get(&self, node: NodeId) -> Option<Arc<str>> {
        self.addresses.read().get(&node).cloned()
    }

    /// Writes the address of `node`, in place of any earlier one.
    pub fn set(&self, node: NodeId, address: impl Into<Arc<str>>) {
        self.addresses.write().insert(node, address.into());
    }

    /// Forgets `node`.
    pub fn remove(&self, node: NodeId) {
        self.addresses.write().remove(&node);
    }

    /// All entries, in the order of node ids.
    pub fn entries(&self) -> Vec<(NodeId, Arc<str>)> {
        let mut entries: Vec<_> =
            self.addresses.read().iter().map(|(node, address)| (*node, address.clone())).collect();
        entries.sort();
        entries
    }
}
