use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::ids::{ClusterId, NodeId, Token};
use crate::layout::{Member, Partitioning, Placement, UnmetConstraint};
use crate::limits::REPLICAS_MAX;
use crate::partitioner::Partitioner;
use crate::replication::{PlacementRequest, ReplicationStrategy};

/// Most members of a cluster.
const MEMBERS_MAX: usize = 1_024;

/// Members, partitions and their placement, at a version. A value: it is never changed, only replaced by one with a higher version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    cluster: ClusterId,
    version: u64,
    partitioner: String,
    strategy: String,
    replicas: u8,
    partitioning: Partitioning,
    members: Vec<Member>,
    placement: Placement,
    keepers: Vec<NodeId>,
}

/// What version 1 of a layout is made from.
#[derive(Debug, Clone)]
pub struct LayoutDraft {
    /// The cluster.
    pub cluster: ClusterId,
    /// The members, in any order.
    pub members: Vec<Member>,
    /// The cut of the hash space.
    pub partitioning: Partitioning,
    /// Replicas that the placement is made for.
    pub replicas: usize,
}

impl Layout {
    /// Makes version 1 of a layout and says what could not be met.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidLayout`] if there is no member, one twice, an id of 0, or a capacity of 0; if replicas are not 1 to
    /// 16; or if the strategy breaks its contract.
    pub fn first(
        draft: LayoutDraft,
        partitioner: &dyn Partitioner,
        strategy: &dyn ReplicationStrategy,
    ) -> Result<(Self, Vec<UnmetConstraint>), Error> {
        let LayoutDraft { cluster, mut members, partitioning, replicas } = draft;
        members.sort_by_key(|member| member.id);
        check_members(&members)?;
        check_replicas(replicas)?;
        let request = PlacementRequest { members: &members, partitioning, replicas, previous: None };
        let answer = strategy.place(&request);
        let keeper_count = match members.len() {
            1 | 2 => 1,
            3 | 4 => 3,
            _ => 5,
        };
        let layout = Layout {
            cluster,
            version: 1,
            partitioner: partitioner.name(),
            strategy: strategy.name(),
            replicas: replicas as u8,
            partitioning,
            keepers: members.iter().take(keeper_count).map(|member| member.id).collect(),
            members,
            placement: answer.placement,
        };
        layout.check()?;
        Ok((layout, answer.unmet))
    }

    /// Checks a layout that came from a disk or a peer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidLayout`] says what is wrong.
    pub fn check(&self) -> Result<(), Error> {
        check_members(&self.members)?;
        check_replicas(self.replicas())?;
        if self.version == 0 {
            return Err(invalid("a layout's version is at least 1".into()));
        }
        if self.placement.partitions() != self.partitioning.count() as usize
            || self.placement.width() != self.members.len()
        {
            return Err(invalid("the placement does not fit the members and partitions".into()));
        }
        let mut ids: Vec<NodeId> = Vec::with_capacity(self.members.len());
        for list in self.placement.lists() {
            ids.clear();
            ids.extend_from_slice(list);
            ids.sort_unstable();
            if !ids.iter().eq(self.members.iter().map(|member| &member.id)) {
                return Err(invalid("a preference list does not name every member once".into()));
            }
        }
        let odd = matches!(self.keepers.len(), 1 | 3 | 5);
        ids.clear();
        ids.extend_from_slice(&self.keepers);
        ids.sort_unstable();
        ids.dedup();
        if !odd || ids.len() < self.keepers.len() || ids.iter().any(|keeper| self.member(*keeper).is_none()) {
            return Err(invalid("the keepers must be 1, 3 or 5 different members".into()));
        }
        Ok(())
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The version, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Name of the partitioner that made the tokens.
    pub fn partitioner(&self) -> &str {
        &self.partitioner
    }

    /// Name of the strategy that made the placement.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// Replicas that the placement was made for.
    pub fn replicas(&self) -> usize {
        self.replicas.into()
    }

    /// The cut of the hash space.
    pub fn partitioning(&self) -> Partitioning {
        self.partitioning
    }

    /// The members, ascending by id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with that id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        let place = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        self.members.get(place)
    }

    /// The placement.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The voters of the layout register.
    pub fn keepers(&self) -> &[NodeId] {
        &self.keepers
    }

    /// The owners of `token` in a bucket of `replicas` replicas, in the order of preference: the effective N is their number,
    /// min(replicas, members).
    pub fn owners(&self, token: Token, replicas: usize) -> &[NodeId] {
        let list = self.placement.preference_list(self.partitioning.partition(token));
        list.get(..replicas.min(list.len())).unwrap_or_default()
    }
}

fn check_replicas(replicas: usize) -> Result<(), Error> {
    if replicas == 0 || replicas > REPLICAS_MAX {
        return Err(invalid(format!("replicas must be 1 to {REPLICAS_MAX}, not {replicas}")));
    }
    Ok(())
}

fn check_members(members: &[Member]) -> Result<(), Error> {
    if members.is_empty() || members.len() > MEMBERS_MAX {
        return Err(invalid(format!("a layout has 1 to {MEMBERS_MAX} members, not {}", members.len())));
    }
    for member in members {
        if member.id == NodeId(0) {
            return Err(invalid("node id 0 is not allowed".into()));
        }
        if member.capacity == 0 {
            return Err(invalid(format!("the capacity of node {} must be at least 1", member.id)));
        }
    }
    let twice = members.windows(2).find_map(|pair| match pair {
        [a, b] if a.id >= b.id => Some(b.id),
        _ => None,
    });
    match twice {
        Some(id) => Err(invalid(format!("node id {id} is named twice (or the members are not in order)"))),
        None => Ok(()),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidLayout, message)
}

#[cfg(test)]
mod tests;
