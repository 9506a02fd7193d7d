//! The replication-strategy plug-in: which nodes own each partition, in which order, and who stands in.

mod balanced;
mod hash_ring;
mod unmet;

use std::fmt::Debug;

pub use balanced::BalancedPlacement;
pub use hash_ring::HashRing;
pub use unmet::unmet_constraints;

use crate::layout::{Member, Partitioning, Placement, UnmetConstraint};

/// What a strategy is asked.
#[derive(Debug, Clone, Copy)]
pub struct PlacementRequest<'a> {
    /// The members, ascending by id, at least one.
    pub members: &'a [Member],
    /// The cut of the hash space.
    pub partitioning: Partitioning,
    /// Replicas that the placement is made for, at least 1.
    pub replicas: usize,
    /// The placement before, whose partitions should move as little as possible.
    pub previous: Option<&'a Placement>,
}

/// What a strategy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementAnswer {
    /// The placement.
    pub placement: Placement,
    /// What could not be met with these members; empty if all was.
    pub unmet: Vec<UnmetConstraint>,
}

/// Places partitions on members.
///
/// # Contract
///
/// `kv_core::testing::replication` has one case per bullet.
///
/// - `L-01`: every preference list names every member once and nobody else.
/// - `L-02`: the same request gets the same answer: in every process, on every platform.
/// - `L-03`: the first min(replicas, members) of each list lie in as many zones ([`crate::layout::Member::failure_domain`]) as
///   possible; where zones are shared or members too few, `unmet` says so.
/// - `L-04`: a member owns partitions in proportion to its capacity, as near as the strategy promises ([`ReplicationStrategy::balance`]),
///   or `unmet` names it.
/// - `L-05`: when a member comes or goes, owners change for little more than its share of the partitions
///   ([`ReplicationStrategy::movement`]).
/// - `L-06`: it works for 1 to at least 64 members with capacities that differ by a factor of 100.
pub trait ReplicationStrategy: Debug + Send + Sync + 'static {
    /// The name under which the layout remembers the strategy.
    fn name(&self) -> String;

    /// Places the partitions.
    fn place(&self, request: &PlacementRequest<'_>) -> PlacementAnswer;

    /// The promised bound on a member's load, at least 1.0: it owns from share / balance - 1 to share * balance + 1 partitions, where
    /// share = partitions * min(replicas, members) * capacity / capacity of all. A member outside is named in `unmet`.
    fn balance(&self) -> f64;

    /// The promised bound on movement when one member comes or goes: owner slots that change over those that must, which is the sum of
    /// what each member owns more than before.
    fn movement(&self) -> f64;
}
