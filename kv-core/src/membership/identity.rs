use foca::Identity;
use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// A node in one of its lives, as gossip names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// The node.
    pub node: NodeId,
    /// Higher in each life, and raised when others thought the node dead.
    pub generation: u64,
    /// Where it is reached in this life, `host:port`.
    pub address: String,
}

impl Identity for PeerIdentity {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(PeerIdentity { generation: self.generation.saturating_add(1), ..self.clone() })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.generation, &self.address) > (adversary.generation, &adversary.address)
    }
}
