//! Exchanges: two replicas give each other what they hold.

use crate::epochs::message::{Body, Message};
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::variant::Variant;
use crate::epochs::world::{World, Wound};

impl World {
    /// The first half of an exchange arrives; gives the second.
    pub fn offered(&mut self, offer: Message, rule: Rule) -> Message {
        let Body::Offer { from, incarnation } = offer.body else { unreachable!("no offer: {offer:?}") };
        let by = offer.owner;
        self.learn(by, &offer, rule);
        let is_clear = if rule.is(Variant::StandInsPromise) {
            let cleared = self.replicas[by].disk.cleared;
            cleared.is_some() && cleared >= offer.epoch
        } else {
            self.replicas[by].is_clear
        };
        let body = Body::Answer { from: by, to_incarnation: incarnation, to_epoch: offer.epoch, is_clear };
        self.message(by, from, body, rule)
    }

    /// The second half of an exchange arrives.
    pub fn answered(&mut self, answer: Message, rule: Rule) {
        let Body::Answer { from, to_incarnation, to_epoch, is_clear } = answer.body else {
            unreachable!("no answer: {answer:?}")
        };
        let by = answer.owner;
        if self.replicas[by].incarnation != to_incarnation || !self.learn(by, &answer, rule) {
            return;
        }
        let replica = &mut self.replicas[by];
        replica.disk.missing &= !(1 << from);
        if answer.epoch <= replica.disk.epoch || rule.is(Variant::CountsAfterMeetingAhead) {
            replica.heard |= 1 << from;
        }
        let is_clear = is_clear
            || !rule.stand_in
            || rule.is(Variant::OthersNeedNotAsk)
            || rule.is(Variant::TurnsWithoutStandIns);
        if rule.is(Variant::StandInsPromise) {
            replica.seen[from] = replica.seen[from].max(answer.epoch);
        }
        let is_abreast = answer.epoch >= replica.disk.epoch || rule.is(Variant::CountsThoseBehind);
        if to_epoch == replica.disk.epoch && is_abreast && is_clear {
            replica.met |= 1 << from;
        }
        let is_behind = replica.disk.epoch < answer.epoch;
        if let Some(wound) = self.wound.as_mut().filter(|wound| wound.store == by && !is_behind) {
            wound.unmet &= !(1 << from);
        }
    }

    /// Takes what another replica holds as a whole. A store that is too far behind is emptied first and goes on in the other's epoch.
    pub fn learn(&mut self, by: usize, message: &Message, rule: Rule) -> bool {
        let Some(theirs) = message.epoch else { return false };
        match self.epoch(by) {
            None => self.replicas[by].disk.epoch = Some(theirs),
            Some(ours) if theirs > ours + 1 && rule.is(Variant::FarBehindMerges) => {
                self.enter(by, theirs, rule);
            }
            Some(ours) if theirs > ours + 1 => self.recover(by, Some(theirs), rule),
            Some(_) => {}
        }
        let took = self.take(by, message, rule);
        if took && rule.is(Variant::SeenMeansDeleted) {
            self.replicas[by].drop_deleted(message.seen & !message.record.writes());
        }
        if took && self.epoch(by) < Some(theirs) && rule.is(Variant::FollowsAtOnce) {
            self.enter(by, theirs, rule);
        }
        took
    }

    pub fn recover(&mut self, replica: usize, epoch: Option<Epoch>, rule: Rule) {
        let (others, life) = (self.others(replica), self.next_life(replica, rule));
        self.replicas[replica].recover(epoch, others, life, rule);
        self.wound = Some(Wound { store: replica, unmet: others });
    }

    pub fn enter(&mut self, replica: usize, epoch: Epoch, rule: Rule) {
        self.replicas[replica].enter(epoch, rule, &mut self.history);
    }
}
