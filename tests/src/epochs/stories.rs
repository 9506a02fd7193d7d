//! Failures that random walks hardly come upon, told step by step.

use crate::epochs::action::{Action, Replaces};
use crate::epochs::checks::Check;
use crate::epochs::configurations::Configuration;
use crate::epochs::history::Kind;
use crate::epochs::message::{Body, Message};
use crate::epochs::model::EpochModel;
use crate::epochs::shortest::fails;
use crate::epochs::variant::Variant;
use crate::epochs::walk::Failure;
use crate::epochs::world::World;

/// Tells what happens.
type Telling = fn(&mut Story);

/// Each story with the rules that it breaks, and the check that fails.
const STORIES: [(Telling, &[Variant], Check); 5] = [
    (only_the_stand_in, &[Variant::TurnsWithoutStandIns], Check::NothingLost),
    (
        an_earlier_life_was_met,
        &[
            Variant::CountsBeforeMeeting,
            Variant::CountsAfterMeetingOne,
            Variant::CountsAfterMeetingOneAndWhole,
            Variant::CountsAfterMeetingAhead,
        ],
        Check::NothingLost,
    ),
    (a_late_frame_joins_a_copy, &[Variant::CopyTakesLowest], Check::NothingLost),
    (one_store_is_lost, &[Variant::SendersSince, Variant::SinceByReceiver], Check::StaysAway),
    (two_stores_are_lost, &[Variant::BornAfterFive], Check::StaysAway),
];

/// How the story of a variant ends, if it has one.
pub fn of(variant: Variant) -> Option<Failure> {
    let (telling, _, check) = STORIES.into_iter().find(|(_, variants, _)| variants.contains(&variant))?;
    tell(telling, Some(variant), check)
}

/// Whether any story breaks the rule as it is.
pub fn break_the_rule() -> bool {
    STORIES.into_iter().any(|(telling, _, check)| tell(telling, None, check).is_some())
}

/// The steps of a story, as a failure if every one of them can be taken under the rule and the last one breaks the check.
fn tell(telling: Telling, variant: Option<Variant>, check: Check) -> Option<Failure> {
    let model = EpochModel { messages_max: 8, ..Configuration::StandIns.model(variant) };
    let mut story = Story { world: World::new(model.replicas, model.budget), steps: Vec::new(), model };
    telling(&mut story);
    let Story { steps, model, .. } = story;
    fails(&model, check, &steps).map(|_| Failure { check, seed: 0, steps, model })
}

/// What has happened so far.
#[derive(Debug)]
pub struct Story {
    world: World,
    steps: Vec<Action>,
    model: EpochModel,
}

impl Story {
    fn then(&mut self, action: Action) {
        self.world.act(action, self.model.rule);
        self.steps.push(action);
    }

    /// A write that replaces all that its coordinator holds.
    fn write(&mut self, at: usize, kind: Kind, absent: Option<usize>) {
        self.then(Action::Write { at, kind, replaces: Replaces::Seen, absent });
    }

    fn message(&self, which: impl Fn(&Message) -> bool) -> usize {
        self.world.messages.iter().position(which).unwrap()
    }

    fn arrive(&mut self, which: impl Fn(&Message) -> bool) {
        let message = self.message(which);
        self.then(Action::Arrive { message, again: false });
    }

    fn lose(&mut self, which: impl Fn(&Message) -> bool) {
        let message = self.message(which);
        self.then(Action::Lose { message });
    }

    /// One replica exchanges with each other.
    fn exchange(&mut self, from: usize) {
        for to in (0..3).filter(|to| *to != from) {
            self.then(Action::Exchange { from, to });
        }
    }

    /// All ask the stand-in, as far as it lets them.
    fn ask(&mut self) {
        for by in 0..3 {
            let is_clear = self.world.epoch(by).is_some_and(|epoch| self.world.stand_in.is_clear(epoch));
            if is_clear && !self.world.replicas[by].is_clear {
                self.then(Action::Ask { by });
            }
        }
    }

    /// All do what is needed for the next epoch.
    fn prepare(&mut self) {
        self.ask();
        (0..3).for_each(|from| self.exchange(from));
    }

    fn turn(&mut self, all: &[usize]) {
        all.iter().for_each(|by| self.then(Action::Turn { by: *by }));
    }

    /// A store is lost, and is filled again from the others.
    fn lose_disk(&mut self, replica: usize) {
        self.then(Action::LoseDisk { replica });
        self.exchange(replica);
    }
}

fn to(owner: usize) -> impl Fn(&Message) -> bool {
    move |message| message.owner == owner
}

/// A write is in its coordinator's store and in a copy. The store is lost, and replicas go on without asking for copies.
fn only_the_stand_in(story: &mut Story) {
    story.write(0, Kind::Value, Some(2));
    story.lose(to(1));
    story.arrive(to(2));
    story.lose_disk(0);
    for _ in 0..2 {
        story.prepare();
        story.turn(&[0, 1, 2]);
    }
    story.then(Action::Deliver { copy: 0 });
    story.arrive(to(2));
}

/// Replica 0 has met an earlier life of replica 2, which comes back in an earlier epoch, counts a copy, and is left behind.
fn an_earlier_life_was_met(story: &mut Story) {
    story.prepare();
    story.turn(&[0, 2]);
    story.ask();
    story.then(Action::Exchange { from: 0, to: 2 });
    story.then(Action::LoseDisk { replica: 2 });
    story.then(Action::Exchange { from: 2, to: 1 });
    story.then(Action::Exchange { from: 2, to: 0 });
    story.turn(&[1]);
    story.ask();
    story.then(Action::Exchange { from: 0, to: 1 });
    story.write(2, Kind::Value, Some(0));
    story.lose(to(1));
    story.turn(&[0]);
    story.arrive(to(0));
    story.then(Action::Exchange { from: 2, to: 0 });
    story.then(Action::Deliver { copy: 0 });
    story.arrive(to(0));
}

/// A frame of an earlier epoch reaches the stand-in after one that was counted. The store of the coordinator is lost, and the owner refuses
/// what the stand-in made of both.
fn a_late_frame_joins_a_copy(story: &mut Story) {
    story.write(2, Kind::Value, Some(0));
    story.arrive(to(1));
    story.prepare();
    story.turn(&[0, 1, 2]);
    story.prepare();
    story.turn(&[0]);
    story.write(2, Kind::Value, Some(0));
    story.lose(to(1));
    let frame = |epoch| move |message: &Message| message.epoch == Some(epoch);
    story.arrive(frame(1));
    story.arrive(frame(0));
    story.lose_disk(2);
    story.then(Action::Deliver { copy: 0 });
    story.arrive(to(0));
}

/// A delete is made when its epoch's exchanges are over, is sent in the next epoch, and arrives in the one after; meanwhile its store is lost.
/// What it replaced is sent by a replica that is ahead and has not heard of it, and arrives when the delete is gone.
fn one_store_is_lost(story: &mut Story) {
    value_everywhere(story);
    story.prepare();
    story.write(0, Kind::Delete, None);
    story.lose(to(1));
    story.lose(to(2));
    hop(story, [0, 1, 2]);
    story.arrive(to(1));
    all_drop_it(story, [1, 0, 2]);
}

/// The same with a second store that is lost in the same way, so that the delete is two epochs older when all have it.
fn two_stores_are_lost(story: &mut Story) {
    value_everywhere(story);
    story.prepare();
    story.write(0, Kind::Delete, None);
    story.lose(to(1));
    story.lose(to(2));
    hop(story, [0, 1, 2]);
    story.turn(&[0]);
    story.arrive(to(1));
    hop(story, [1, 2, 0]);
    story.arrive(to(2));
    all_drop_it(story, [2, 1, 0]);
}

fn value_everywhere(story: &mut Story) {
    story.write(0, Kind::Value, None);
    story.arrive(to(1));
    story.arrive(to(2));
}

/// All enter the next epoch, for which they are prepared. `by` sends what only it has and loses its store; all go on to the epoch after and
/// prepare to leave it, and `ahead` does. What was sent is still under way.
fn hop(story: &mut Story, [by, to, ahead]: [usize; 3]) {
    for replica in [by, to, ahead] {
        if story.world.may_turn(replica, story.model.rule) {
            story.turn(&[replica]);
        }
    }
    story.then(Action::Repair { from: by, to });
    story.lose_disk(by);
    story.prepare();
    story.turn(&[0, 1, 2]);
    story.prepare();
    story.turn(&[ahead]);
}

/// `holder` has the delete; `ahead` is an epoch further and has not. All hear of it and go on until it is gone.
fn all_drop_it(story: &mut Story, [holder, other, ahead]: [usize; 3]) {
    story.then(Action::Repair { from: ahead, to: other });
    story.exchange(holder);
    story.turn(&[holder, other]);
    story.prepare();
    story.turn(&[0, 1, 2]);
    story.arrive(|message| matches!(message.body, Body::Records { write: None }));
}
