//! What must never be so, and what must come to be.

use crate::epochs::record::{Record, Writes, one};
use crate::epochs::rule::Rule;
use crate::epochs::variant::Variant;
use crate::epochs::world::World;

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// A read quorum shows what was covered by something that the rule has dropped.
    StaysAway,
    /// An acknowledged write that nothing replaced is in some store.
    NothingLost,
    /// No two writes have one dot.
    DotsAreUnique,
    /// A read quorum shows each write that W owners acknowledged, or what replaced it.
    ReadsAreRegular,
    /// When faults and clients stop, five epochs later replicas are equal and nothing is left that could go.
    ComesToRest,
}

impl Check {
    /// What is checked after every step.
    pub const SAFETY: [Check; 4] =
        [Check::DotsAreUnique, Check::StaysAway, Check::NothingLost, Check::ReadsAreRegular];

    /// Whether the state is as it has to be. What is yet to come is judged by `rest`.
    pub fn holds(self, world: &World, rule: Rule) -> bool {
        match self {
            Check::DotsAreUnique => !world.history.dot_twice,
            Check::StaysAway => {
                quorums(world, rule).all(|read| shown(world, &read) & world.history.reaped == 0)
            }
            Check::NothingLost => {
                let mut acknowledged = world.history.acknowledged();
                acknowledged.all(|write| world.history.reaped & one(write) != 0 || world.stores_of(write) > 0)
            }
            Check::ReadsAreRegular => {
                world.was_restored || quorums(world, rule).all(|read| regular(world, &read))
            }
            Check::ComesToRest => true,
        }
    }
}

/// What every two replicas that vote and accept each other's answers have together.
fn quorums(world: &World, rule: Rule) -> impl Iterator<Item = Record> {
    let votes =
        move |replica: usize| !world.replicas[replica].is_recovering() || rule.is(Variant::RecoveringVotes);
    let pairs = (0..world.replicas.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    pairs
        .filter(move |(one, other)| votes(*one) && votes(*other))
        .filter(|(one, other)| {
            matches!((world.epoch(*one), world.epoch(*other)), (Some(one), Some(other)) if one.abs_diff(other) <= 1)
        })
        .map(|(one, other)| world.replicas[one].disk.record.merged(&world.replicas[other].disk.record))
}

/// The values that a reader of a record is shown.
fn shown(world: &World, record: &Record) -> Writes {
    record
        .versions()
        .filter(|(write, _)| !world.history.is_dead(*write))
        .fold(0, |all, (write, _)| all | one(write))
}

/// Whether a read shows what owners acknowledged and nothing that it replaced.
fn regular(world: &World, record: &Record) -> bool {
    let (shown, writes) = (shown(world, record), record.writes());
    world.history.acknowledged().all(|write| {
        let made = world.history.get(write);
        let owners = made.acks & ((1 << world.replicas.len()) - 1);
        let gone = world.history.reaped & one(write) != 0;
        owners.count_ones() < 2
            || (shown & made.replaced == 0 && (gone || world.history.covers(writes, write)))
    })
}
