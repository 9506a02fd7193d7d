use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, PartitionId};

/// For each partition its preference list: all members, each once, owners first. The owners of a bucket with N replicas are
/// the first N; those behind them stand in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    width: u32,
    nodes: Vec<NodeId>,
}

impl Placement {
    /// A placement of preference lists of equal length; lists of different lengths make no placement.
    pub fn from_lists<'a>(lists: impl IntoIterator<Item = &'a [NodeId]>) -> Option<Self> {
        let mut nodes = Vec::new();
        let mut width = None;
        for list in lists {
            if *width.get_or_insert(list.len()) != list.len() {
                return None;
            }
            nodes.extend_from_slice(list);
        }
        let width = u32::try_from(width.filter(|width| *width > 0)?).ok()?;
        Some(Placement { width, nodes })
    }

    /// The preference list of `partition`; empty for a partition that does not exist.
    pub fn preference_list(&self, partition: PartitionId) -> &[NodeId] {
        let width = self.width as usize;
        let start = partition.0 as usize * width;
        self.nodes.get(start..start + width).unwrap_or_default()
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.nodes.len() / (self.width as usize).max(1)
    }

    /// Length of each preference list.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// The preference lists in the order of the partitions.
    pub fn lists(&self) -> impl Iterator<Item = &[NodeId]> {
        self.nodes.chunks(self.width.max(1) as usize)
    }
}

/// Something that was asked of a placement and cannot be had with these members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnmetConstraint {
    /// There are fewer members than replicas were asked for.
    TooFewMembers {
        /// Replicas asked for.
        replicas: usize,
        /// Members there are.
        members: usize,
    },
    /// The owners of some partitions lie in fewer zones than there are for them.
    SharedZone {
        /// How many partitions.
        partitions: usize,
    },
    /// There are fewer zones than replicas, so owners share zones.
    TooFewZones {
        /// Replicas asked for.
        replicas: usize,
        /// Zones there are.
        zones: usize,
    },
    /// A member's load is further from its share by capacity than the strategy promises, for example because the share is above
    /// the number of partitions, or because a small zone has to hold a replica of everything.
    Unbalanced {
        /// The member.
        node: NodeId,
        /// Partitions it owns.
        owned: usize,
        /// Its share by capacity, rounded; above the number of partitions for a member that is too large for the others.
        share: usize,
    },
}

impl fmt::Display for UnmetConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnmetConstraint::TooFewMembers { replicas, members } => {
                write!(f, "{replicas} replicas were asked for, there are {members} members")
            }
            UnmetConstraint::SharedZone { partitions } => {
                write!(f, "{partitions} partitions have two owners in one zone")
            }
            UnmetConstraint::TooFewZones { replicas, zones } => {
                write!(f, "{replicas} replicas share {zones} zones")
            }
            UnmetConstraint::Unbalanced { node, owned, share } => {
                write!(f, "node {node} owns {owned} partitions, its share is {share}")
            }
        }
    }
}
