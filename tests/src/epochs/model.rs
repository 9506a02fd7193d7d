//! The model: how large it is, and what can happen in each state.

use stateright::{Model, Property};

use crate::epochs::action::{Action, Replaces};
use crate::epochs::checks::Check;
use crate::epochs::history::Kind;
use crate::epochs::rest;
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::world::{Budget, World};

/// How large a model is, and what goes wrong in it.
#[derive(Debug, Clone, Copy)]
pub struct EpochModel {
    pub replicas: usize,
    pub rule: Rule,
    pub budget: Budget,
    /// The last epoch.
    pub epochs: Epoch,
    /// How many messages are under way at once.
    pub messages_max: usize,
    /// Whether something can happen between the halves of an exchange.
    pub halves: bool,
    /// Whether lost stores come back as old copies too.
    pub backups: bool,
    /// Whether stores lose records without noticing.
    pub silence: bool,
    /// Whether values expire.
    pub expiry: bool,
    /// Whether clients keep what they read for later, and write without having read.
    pub contexts: bool,
}

impl EpochModel {
    fn clients(&self, world: &World, actions: &mut Vec<Action>) {
        let count = self.replicas;
        for at in 0..count {
            if self.contexts && world.context != world.replicas[at].disk.record.context() {
                actions.push(Action::Read { at });
            }
        }
        if world.left.writes == 0 || world.messages.len() + count > self.messages_max + 1 {
            return;
        }
        let kinds: &[Kind] = if self.expiry {
            &[Kind::Value, Kind::Delete, Kind::Expiring]
        } else {
            &[Kind::Value, Kind::Delete]
        };
        let replaces: &[Replaces] = if self.contexts {
            &[Replaces::Nothing, Replaces::Seen, Replaces::Context]
        } else {
            &[Replaces::Seen]
        };
        for at in (0..count).filter(|at| world.epoch(*at).is_some()) {
            for kind in kinds {
                for replaces in replaces {
                    if *kind == Kind::Delete && world.past(at, *replaces) == 0 {
                        continue;
                    }
                    let write = |absent| Action::Write { at, kind: *kind, replaces: *replaces, absent };
                    actions.push(write(None));
                    if self.rule.stand_in {
                        actions
                            .extend((0..count).filter(|owner| *owner != at).map(|owner| write(Some(owner))));
                    }
                }
            }
        }
    }

    fn messages(&self, world: &World, actions: &mut Vec<Action>) {
        let pairs = || {
            let count = self.replicas;
            (0..count)
                .flat_map(move |from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)))
        };
        let room = world.messages.len() < self.messages_max;
        for (from, to) in pairs() {
            if room && world.left.sends > 0 && !world.replicas[from].disk.record.is_empty() {
                actions.push(Action::Repair { from, to });
            }
            if self.halves && room {
                actions.push(Action::Offer { from, to });
            }
            actions.push(Action::Exchange { from, to });
        }
        for copy in (0..world.stand_in.copies.len()).filter(|_| room) {
            actions.push(Action::Deliver { copy });
        }
        for message in 0..world.messages.len() {
            actions.push(Action::Arrive { message, again: false });
            actions.push(Action::Lose { message });
            if world.left.sends > 0 {
                actions.push(Action::Arrive { message, again: true });
            }
        }
    }

    fn epochs(&self, world: &World, actions: &mut Vec<Action>) {
        for by in 0..self.replicas {
            if self.rule.stand_in && world.may_ask(by, self.rule) {
                actions.push(Action::Ask { by });
            }
            if world.epoch(by) < Some(self.epochs) && world.may_turn(by, self.rule) {
                actions.push(Action::Turn { by });
            }
        }
        for write in (0..world.history.len()).filter(|_| self.expiry) {
            if world.history.get(write).kind == Kind::Expiring && !world.history.expired(write) {
                actions.push(Action::Expire { write });
            }
        }
    }

    fn faults(&self, world: &World, actions: &mut Vec<Action>) {
        let may_lose = world.left.losses > 0 && world.wound.is_none();
        for replica in 0..self.replicas {
            if world.left.restarts > 0 {
                actions.push(Action::Restart { replica });
            }
            if may_lose {
                actions.push(Action::LoseDisk { replica });
            }
            if self.silence && may_lose && !world.replicas[replica].disk.record.is_empty() {
                actions.push(Action::LoseRecord { replica });
            }
            if self.backups && may_lose && world.backups[replica].is_some() {
                actions.push(Action::Restore { replica });
            }
            if self.backups && may_lose && world.backups[replica] != Some(world.replicas[replica].disk) {
                actions.push(Action::BackUp { replica });
            }
        }
        if may_lose && !world.stand_in.copies.is_empty() {
            actions.push(Action::LoseStandIn);
        }
    }
}

impl Model for EpochModel {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.replicas, self.budget)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.clients(world, actions);
        self.messages(world, actions);
        self.epochs(world, actions);
        self.faults(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, self.rule);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn check(model: &EpochModel, world: &World, check: Check) -> bool {
            check.holds(world, model.rule)
        }
        vec![
            Property::always("DotsAreUnique", |model, world| check(model, world, Check::DotsAreUnique)),
            Property::always("StaysAway", |model, world| check(model, world, Check::StaysAway)),
            Property::always("NothingLost", |model, world| check(model, world, Check::NothingLost)),
            Property::always("ReadsAreRegular", |model, world| check(model, world, Check::ReadsAreRegular)),
            Property::always("ComesToRest", |model: &EpochModel, world: &World| {
                rest::fails(world.clone(), model.rule).is_none()
            }),
        ]
    }
}
