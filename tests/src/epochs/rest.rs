//! What comes to be when faults and clients stop.

use crate::epochs::action::Action;
use crate::epochs::checks::Check;
use crate::epochs::history::Kind;
use crate::epochs::record::Writes;
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::variant::Variant;
use crate::epochs::world::World;

/// How many epochs may turn until everything is gone.
const EPOCHS: Epoch = 5;

/// Lets everything go on without faults and clients, each replica repairing the others whenever one has entered an epoch.
/// Gives the check that fails.
pub(super) fn fails(mut world: World, rule: Rule) -> Option<Check> {
    let count = world.replicas.len();
    let pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|one| (0..count).map(move |other| (one, other)))
        .filter(|(one, other)| one != other)
        .collect();
    let settle = |world: &mut World| {
        world.left.sends = u8::MAX;
        while !world.messages.is_empty() {
            world.act(Action::Arrive { message: 0, again: false }, rule);
        }
    };
    let repair = |world: &mut World| {
        for (from, to) in &pairs {
            world.left.sends = u8::MAX;
            world.act(Action::Repair { from: *from, to: *to }, rule);
            settle(world);
        }
    };
    let sent = world.messages.iter().filter_map(|message| message.epoch);
    let sent = sent.chain(world.stand_in.copies.iter().map(|copy| copy.epoch)).max();
    settle(&mut world);
    let end = sent.max(Some(world.epoch_max())).unwrap() + EPOCHS;
    // Where replicas ask once they have seen all others, an epoch takes two rounds.
    let rounds = if rule.is(Variant::StandInsPromise) { 6 } else { 3 };
    for _ in 0..rounds * EPOCHS {
        for by in 0..count {
            if world.may_ask(by, rule) {
                world.act(Action::Ask { by }, rule);
            }
        }
        for (from, to) in &pairs {
            world.act(Action::Exchange { from: *from, to: *to }, rule);
        }
        for copy in (0..world.stand_in.copies.len()).rev() {
            world.act(Action::Deliver { copy }, rule);
        }
        settle(&mut world);
        if (0..count).all(|replica| world.epoch(replica) >= Some(end)) {
            let safety = Check::SAFETY.into_iter().find(|check| !check.holds(&world, rule));
            return safety.or((!is_at_rest(&world)).then_some(Check::ComesToRest));
        }
        for by in 0..count {
            if world.may_turn(by, rule) {
                world.act(Action::Turn { by }, rule);
                repair(&mut world);
            }
        }
    }
    Some(Check::ComesToRest)
}

/// Whether replicas are equal and have nothing that could be dropped.
fn is_at_rest(world: &World) -> bool {
    let first = world.replicas[0].disk.record.writes();
    world.stand_in.copies.is_empty()
        && world.replicas.iter().all(|replica| {
            let record = replica.disk.record;
            let clean = |write: usize, past: Writes| {
                let kind = world.history.get(write).kind;
                past == 0 && kind != Kind::Delete && !world.history.expired(write)
            };
            record.writes() == first && record.versions().all(|(write, held)| clean(write, held.past))
        })
}
