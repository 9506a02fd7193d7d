use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// A node as the layout knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The node.
    pub id: NodeId,
    /// Where peers and clients reach it, `host:port`; a hint, since a node may move.
    pub address: String,
    /// The failure domain inside its data centre: a rack, a power feed.
    #[serde(default)]
    pub zone: String,
    /// Its data centre.
    #[serde(default)]
    pub data_center: String,
    /// How much it can hold relative to the others, at least 1.
    #[serde(default = "capacity_default")]
    pub capacity: u32,
}

fn capacity_default() -> u32 {
    100
}

/// What fails together: the members of a zone, or one member alone if it names no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureDomain<'a> {
    /// A zone of a data centre; zones of the same name in two data centres are two domains.
    Zone {
        /// The data centre.
        data_center: &'a str,
        /// The zone.
        zone: &'a str,
    },
    /// A member that names no zone.
    Node(NodeId),
}

impl Member {
    /// A member with the default capacity, in no particular zone or data centre.
    pub fn new(id: NodeId, address: impl Into<String>) -> Self {
        Member {
            id,
            address: address.into(),
            zone: String::new(),
            data_center: String::new(),
            capacity: capacity_default(),
        }
    }

    /// What fails together with this member. A member with an empty zone is a domain of its own: nothing is known that it shares.
    pub fn failure_domain(&self) -> FailureDomain<'_> {
        if self.zone.is_empty() {
            FailureDomain::Node(self.id)
        } else {
            FailureDomain::Zone { data_center: &self.data_center, zone: &self.zone }
        }
    }
}
