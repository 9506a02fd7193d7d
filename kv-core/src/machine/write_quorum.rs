use smallvec::SmallVec;

use crate::command::{Ack, ExplainedReplica, ReplicaState};
use crate::error::{Cause, Error, ErrorKind, QuorumShortfall};
use crate::ids::{Incarnation, NodeId};
use crate::mutants::{self, Mutant};
use crate::storage::Durability;

/// Set in the index of a write that goes to a stand-in.
const STAND_IN: u8 = 0x40;

/// Collects the acknowledgements of a key's owners, and of the nodes that stand in for them, until enough of them count.
#[derive(Debug)]
pub(super) struct WriteQuorum {
    needed: usize,
    owners: SmallVec<[Progress; 4]>,
    stand_ins: SmallVec<[StandIn; 1]>,
    /// Answers that came again and were counted again, by a mutant.
    extra: usize,
}

/// A node that keeps the write for an owner that is absent.
#[derive(Debug)]
struct StandIn {
    node: NodeId,
    /// The place of the owner.
    absent: u8,
    progress: Progress,
}

/// What is known of one node's copy of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Committed(Incarnation, Durability),
    Failed(ErrorKind),
}

impl WriteQuorum {
    pub(super) fn new(needed: usize, owners: usize) -> Self {
        let owners = SmallVec::from_elem(Progress::Waiting, owners);
        WriteQuorum { needed, owners, stand_ins: SmallVec::new(), extra: 0 }
    }

    pub(super) fn needed(&self) -> usize {
        self.needed
    }

    /// Takes note of what became of a node's copy. What comes later changes nothing.
    pub(super) fn note(&mut self, index: u8, progress: Progress) {
        let known = match index & STAND_IN {
            0 => self.owners.get_mut(usize::from(index)),
            _ => {
                self.stand_ins.get_mut(usize::from(index & !STAND_IN)).map(|stand_in| &mut stand_in.progress)
            }
        };
        match known {
            Some(known) if *known == Progress::Waiting => *known = progress,
            Some(_) if mutants::on(Mutant::DuplicatedAnswerCountsTwice) => self.extra += 1,
            _ => {}
        }
    }

    /// Adds a node that stands in for an owner; returns its index.
    pub(super) fn add_stand_in(&mut self, node: NodeId, absent: u8) -> u8 {
        self.stand_ins.push(StandIn { node, absent, progress: Progress::Waiting });
        (self.stand_ins.len() - 1) as u8 | STAND_IN
    }

    /// Whether that is the index of a node that stands in.
    pub(super) fn is_stand_in(&self, index: u8) -> bool {
        index & STAND_IN != 0
    }

    /// The index of a node that stands in.
    pub(super) fn stand_in(&self, node: NodeId) -> Option<u8> {
        let place = self.stand_ins.iter().position(|stand_in| stand_in.node == node)?;
        Some(place as u8 | STAND_IN)
    }

    /// Whether some node keeps the write, or is about to, for the owner at that place.
    pub(super) fn has_stand_in(&self, absent: u8) -> bool {
        let keeps = |stand_in: &StandIn| {
            stand_in.absent == absent && !matches!(stand_in.progress, Progress::Failed(_))
        };
        self.stand_ins.iter().any(keeps)
    }

    /// The owners that have not acknowledged the write, by their places.
    pub(super) fn failed_owners(&self) -> SmallVec<[u8; 4]> {
        let failed = |(place, progress): (usize, &Progress)| {
            matches!(progress, Progress::Failed(_)).then_some(place as u8)
        };
        self.owners.iter().enumerate().filter_map(failed).collect()
    }

    /// How many owners are so, or have a node that is so and stands in for them. An owner and who stands in for it count once: what the one has the other
    /// hands to it, and then it is in one store.
    fn places(&self, is_so: impl Fn(Progress) -> bool) -> usize {
        let owners = self.owners.iter().enumerate();
        let place_is_so = |(place, progress): &(usize, &Progress)| {
            let mut stand_ins =
                self.stand_ins.iter().filter(|stand_in| usize::from(stand_in.absent) == *place);
            is_so(**progress) || stand_ins.any(|stand_in| is_so(stand_in.progress))
        };
        owners.filter(place_is_so).count()
    }

    fn committed(&self) -> usize {
        self.places(|progress| matches!(progress, Progress::Committed(..))) + self.extra
    }

    pub(super) fn is_reached(&self) -> bool {
        self.committed() >= self.needed
    }

    /// Whether not even all that have not answered could make it enough.
    pub(super) fn is_hopeless(&self) -> bool {
        let open = |progress| matches!(progress, Progress::Committed(..) | Progress::Waiting);
        self.places(open) + self.extra < self.needed
    }

    /// Every node and the owner for which it answers, itself if it is one.
    fn nodes<'a>(&'a self, owners: &'a [NodeId]) -> impl Iterator<Item = (NodeId, NodeId, Progress)> + 'a {
        let own = owners.iter().zip(&self.owners).map(|(owner, progress)| (*owner, *owner, *progress));
        let stand_ins = self.stand_ins.iter().filter_map(|stand_in| {
            let owner = owners.get(usize::from(stand_in.absent))?;
            Some((stand_in.node, *owner, stand_in.progress))
        });
        own.chain(stand_ins)
    }

    /// Who acknowledged the write.
    pub(super) fn acks(&self, owners: &[NodeId]) -> Vec<Ack> {
        let ack = |(node, owner, progress)| match progress {
            Progress::Committed(incarnation, durability) => {
                let is_owner = node == owner || mutants::on(Mutant::StandInsPassForOwners);
                Some(Ack { node, incarnation, durability, stands_for: (!is_owner).then_some(owner) })
            }
            Progress::Waiting | Progress::Failed(_) => None,
        };
        self.nodes(owners).filter_map(ack).collect()
    }

    pub(super) fn explain(&self, owners: &[NodeId]) -> Vec<ExplainedReplica> {
        let explain = |(node, owner, progress)| ExplainedReplica {
            node,
            is_owner: node == owner,
            state: match progress {
                Progress::Waiting => ReplicaState::Waiting,
                Progress::Committed(incarnation, _) => ReplicaState::Committed(incarnation),
                Progress::Failed(kind) => ReplicaState::Failed(kind),
            },
            versions: Vec::new(),
            repaired: false,
        };
        self.nodes(owners).map(explain).collect()
    }

    /// The error of a quorum that was not reached.
    pub(super) fn shortfall(&self, kind: ErrorKind, message: &str, owners: &[NodeId]) -> Error {
        let causes = self.nodes(owners).filter_map(|(node, _, progress)| {
            let kind = match progress {
                // A node that is still waited for is a cause only of a deadline that passed.
                Progress::Waiting if kind == ErrorKind::DeadlineExceeded => kind,
                Progress::Committed(..) | Progress::Waiting => return None,
                Progress::Failed(cause) => cause,
            };
            Some(Cause { node, kind })
        });
        let shortfall = QuorumShortfall {
            needed: self.needed as u8,
            got: self.committed() as u8,
            causes: causes.collect(),
        };
        Error::new(kind, message).with_quorum(shortfall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_and_who_stands_in_for_it_count_once() {
        let committed = Progress::Committed(Incarnation(1), Durability::Synced);
        let mut quorum = WriteQuorum::new(2, 3);
        let stand_in = quorum.add_stand_in(NodeId(9), 1);
        quorum.note(1, committed);
        quorum.note(stand_in, committed);
        assert!(!quorum.is_reached() && !quorum.is_hopeless());
        quorum.note(0, Progress::Failed(ErrorKind::NotWritten));
        assert!(!quorum.is_hopeless());
        quorum.note(2, Progress::Failed(ErrorKind::NodeDown));
        assert!(quorum.is_hopeless(), "two copies, and soon one");
    }
}
