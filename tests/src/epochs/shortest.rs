//! Failures made short enough to be read.

use stateright::Model;

use crate::epochs::action::Action;
use crate::epochs::checks::Check;
use crate::epochs::model::EpochModel;
use crate::epochs::rest;
use crate::epochs::walk::Failure;
use crate::epochs::world::World;

/// Leaves out of a failure every step without which it still fails in the same way.
pub(super) fn shortest(failure: &Failure) -> Failure {
    let (model, mut steps) = (&failure.model, failure.steps.clone());
    let mut place = steps.len();
    while place > 0 {
        place -= 1;
        let mut fewer = steps.clone();
        fewer.remove(place);
        if let Some(length) = fails(model, failure.check, &fewer) {
            fewer.truncate(length);
            place = length;
            steps = fewer;
        }
    }
    Failure { steps, ..failure.clone() }
}

/// After how many of these steps the check fails, if all of them can be taken.
pub(super) fn fails(model: &EpochModel, check: Check, steps: &[Action]) -> Option<usize> {
    let mut world = model.init_states().remove(0);
    let mut actions = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        actions.clear();
        model.actions(&world, &mut actions);
        if !actions.contains(step) {
            return None;
        }
        world.act(*step, model.rule);
        if !check.holds(&world, model.rule) {
            return Some(index + 1);
        }
    }
    (rest::fails(world, model.rule) == Some(check)).then_some(steps.len())
}

/// The steps, each with the message that it is about and what stores hold after it.
pub(super) fn told(failure: &Failure) -> Vec<String> {
    let mut world = failure.model.init_states().remove(0);
    let mut lines = Vec::new();
    for step in &failure.steps {
        lines.push(format!("{step:?}"));
        if let Action::Arrive { message, .. } | Action::Lose { message } = step {
            let about = world.messages[*message];
            let versions: Vec<_> = about.record.versions().collect();
            lines.push(format!(
                "    {:?} for {} read in {:?}: {versions:?}",
                about.body, about.owner, about.epoch
            ));
        }
        world.act(*step, failure.model.rule);
        lines.extend(stores(&world));
    }
    lines
}

fn stores(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, replica) in world.replicas.iter().enumerate() {
        let held: Vec<_> =
            replica.disk.record.versions().map(|(write, held)| (write, held.past, held.since)).collect();
        let (epoch, life, missing) = (replica.disk.epoch, replica.incarnation, replica.disk.missing);
        lines.push(format!(
            "    replica {number}: epoch {epoch:?} life {life} missing {missing:b} met {:b}: {held:?}",
            replica.met
        ));
    }
    for copy in &world.stand_in.copies {
        lines.push(format!(
            "    copy for {} of epoch {}: {:b}",
            copy.owner,
            copy.epoch,
            copy.record.writes()
        ));
    }
    let acks: Vec<_> = (0..world.history.len())
        .map(|write| (world.history.get(write).kind, world.history.get(write).acks))
        .collect();
    lines.push(format!("    writes {acks:?} reaped {:b}", world.history.reaped));
    lines
}
