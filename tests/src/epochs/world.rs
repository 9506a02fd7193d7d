//! Everything at one moment: replicas, the stand-in, messages, and what faults may still happen.

use crate::epochs::action::{Action, Replaces};
use crate::epochs::history::{History, Kind};
use crate::epochs::message::{Body, Message};
use crate::epochs::record::{Record, Writes};
use crate::epochs::replica::{Disk, Replica};
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::stand_in::StandIn;
use crate::epochs::variant::Variant;

/// How often what may still happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub writes: u8,
    pub sends: u8,
    pub restarts: u8,
    pub losses: u8,
}

/// A fault of a store from which the others have not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wound {
    /// The store; past the replicas it is the stand-in's.
    pub store: usize,
    /// The replicas that it has not finished an exchange with, or only while they were ahead of it, a bit each.
    pub unmet: u8,
}

/// A state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub replicas: Vec<Replica>,
    pub backups: Vec<Option<Disk>>,
    pub stand_in: StandIn,
    pub messages: Vec<Message>,
    pub history: History,
    /// The context that the client holds.
    pub context: Writes,
    pub wound: Option<Wound>,
    /// Whether an old copy of a store was ever used, or a store lost a record without noticing.
    pub was_restored: bool,
    pub left: Budget,
    incarnations: u8,
}

impl World {
    pub fn new(replicas: usize, left: Budget) -> Self {
        let first: Vec<Replica> = (1..=replicas).map(|life| Replica::first(life as u8)).collect();
        World {
            replicas: first,
            backups: vec![None; replicas],
            stand_in: StandIn::default(),
            messages: Vec::new(),
            history: History::default(),
            context: 0,
            wound: None,
            was_restored: false,
            left,
            incarnations: replicas as u8,
        }
    }

    pub fn epoch(&self, replica: usize) -> Option<Epoch> {
        self.replicas[replica].disk.epoch
    }

    pub fn epoch_max(&self) -> Epoch {
        (0..self.replicas.len()).filter_map(|replica| self.epoch(replica)).max().unwrap()
    }

    /// The bit of every replica but one.
    pub fn others(&self, than: usize) -> u8 {
        ((1 << self.replicas.len()) - 1) & !(1 << than)
    }

    pub fn next_life(&mut self, replica: usize, rule: Rule) -> u8 {
        if rule.is(Variant::KeepsIncarnation) {
            return self.replicas[replica].incarnation;
        }
        self.incarnations += 1;
        self.incarnations
    }

    /// Whether a replica may enter the next epoch.
    pub fn may_turn(&self, by: usize, rule: Rule) -> bool {
        self.replicas[by].may_turn(self.others(by), rule)
    }

    /// Whether a replica may ask the stand-in, and is told that it keeps nothing older.
    pub fn may_ask(&self, by: usize, rule: Rule) -> bool {
        let replica = &self.replicas[by];
        let asks_for = if rule.is(Variant::StandInsPromise) {
            replica.asks_for(self.others(by))
        } else {
            replica.disk.epoch.filter(|_| !replica.is_clear)
        };
        asks_for.is_some_and(|epoch| self.stand_in.is_clear(epoch))
    }

    /// Does a step.
    pub fn act(&mut self, action: Action, rule: Rule) {
        match action {
            Action::Read { at } => self.context = self.replicas[at].disk.record.context(),
            Action::Write { at, kind, replaces, absent } => self.write(at, kind, replaces, absent, rule),
            Action::Expire { write } => self.history.expire(write),
            Action::Repair { from, to } => {
                self.left.sends -= 1;
                self.send(from, to, Body::Records { write: None }, rule);
            }
            Action::Deliver { copy } => self.deliver(copy, rule),
            Action::Offer { from, to } => {
                let incarnation = self.replicas[from].incarnation;
                self.send(from, to, Body::Offer { from, incarnation }, rule);
            }
            Action::Exchange { from, to } => {
                let incarnation = self.replicas[from].incarnation;
                let offer = self.message(from, to, Body::Offer { from, incarnation }, rule);
                let answer = self.offered(offer, rule);
                self.answered(answer, rule);
            }
            Action::Arrive { message, again } => {
                let arrived = if again { self.messages[message] } else { self.messages.remove(message) };
                self.left.sends -= u8::from(again);
                self.arrive(arrived, rule);
            }
            Action::Lose { message } => drop(self.messages.remove(message)),
            Action::Ask { by } if rule.is(Variant::StandInsPromise) => {
                let asked = self.replicas[by].asks_for(self.others(by));
                self.replicas[by].disk.cleared = asked;
                self.stand_in.asked = self.stand_in.asked.max(asked);
            }
            Action::Ask { by } => self.replicas[by].is_clear = true,
            Action::Turn { by } => self.enter(by, self.epoch(by).unwrap() + 1, rule),
            fault => self.fault(fault, rule),
        }
        self.heal();
    }

    /// What happens to a store.
    fn fault(&mut self, fault: Action, rule: Rule) {
        match fault {
            Action::Restart { replica } => {
                self.left.restarts -= 1;
                let life = self.next_life(replica, rule);
                let disk = self.replicas[replica].disk;
                self.replicas[replica].open(disk, life, rule);
            }
            Action::LoseDisk { replica } => {
                self.left.losses -= 1;
                self.recover(replica, None, rule);
            }
            Action::BackUp { replica } => self.backups[replica] = Some(self.replicas[replica].disk),
            Action::Restore { replica } => {
                self.left.losses -= 1;
                self.was_restored = true;
                let life = self.next_life(replica, rule);
                let disk = self.backups[replica].take().unwrap();
                self.replicas[replica].open(disk, life, rule);
                self.wound = Some(Wound { store: replica, unmet: self.others(replica) });
            }
            Action::LoseRecord { replica } => {
                self.left.losses -= 1;
                self.was_restored = true;
                self.replicas[replica].lose_record();
                self.wound = Some(Wound { store: replica, unmet: self.others(replica) });
            }
            Action::LoseStandIn => {
                self.left.losses -= 1;
                self.stand_in = StandIn { asked: None, ..StandIn::default() };
                self.wound = Some(Wound { store: self.replicas.len(), unmet: 0 });
            }
            other => unreachable!("no fault: {other:?}"),
        }
    }

    /// A write: its coordinator has it, and sends its record to the other owners.
    fn write(&mut self, at: usize, kind: Kind, replaces: Replaces, absent: Option<usize>, rule: Rule) {
        self.left.writes -= 1;
        let past = self.past(at, replaces);
        let dot = self.replicas[at].mint(rule, &self.history);
        let write = self.history.add(kind, dot, at, past);
        self.replicas[at].add(write, past, rule, &mut self.history);
        self.history.acknowledge(write, at);
        for to in (0..self.replicas.len()).filter(|to| *to != at) {
            let body =
                if absent == Some(to) { Body::Copy { write } } else { Body::Records { write: Some(write) } };
            self.send(at, to, body, rule);
        }
    }

    /// What a write replaces.
    pub fn past(&self, at: usize, replaces: Replaces) -> Writes {
        match replaces {
            Replaces::Nothing => 0,
            Replaces::Seen => self.replicas[at].disk.record.context(),
            Replaces::Context => self.context,
        }
    }

    pub fn message(&self, from: usize, to: usize, body: Body, rule: Rule) -> Message {
        let Disk { record, epoch, seen, .. } = self.replicas[from].disk;
        let seen = if rule.is(Variant::SeenMeansDeleted) { seen | record.writes() } else { 0 };
        let exchange = matches!(body, Body::Offer { .. } | Body::Answer { .. });
        let record = if exchange { record } else { outside_exchanges(record, rule) };
        Message { owner: to, epoch, record, seen, body }
    }

    pub fn send(&mut self, from: usize, to: usize, body: Body, rule: Rule) {
        self.put(self.message(from, to, body, rule));
    }

    pub fn put(&mut self, message: Message) {
        if let Err(place) = self.messages.binary_search(&message) {
            self.messages.insert(place, message);
        }
    }

    fn deliver(&mut self, copy: usize, rule: Rule) {
        let copy = self.stand_in.copies[copy];
        let epoch = Some(if rule.is(Variant::DeliveryRestamps) { self.epoch_max() } else { copy.epoch });
        let record = outside_exchanges(copy.record, rule);
        self.put(Message { owner: copy.owner, epoch, record, seen: 0, body: Body::Delivery });
    }

    fn arrive(&mut self, message: Message, rule: Rule) {
        let Message { owner, record, body, .. } = message;
        match body {
            Body::Records { write } => {
                if let (true, Some(write)) = (self.take(owner, &message, rule), write) {
                    self.count(write, owner, message.epoch, rule);
                }
            }
            Body::Copy { write } => {
                if let Some(epoch) = message.epoch
                    && self.stand_in.takes(epoch, rule)
                {
                    self.stand_in.keep(owner, &record, epoch, rule);
                    self.count(write, self.replicas.len(), message.epoch, rule);
                }
            }
            Body::Delivery => {
                if self.take(owner, &message, rule) {
                    self.stand_in.release(owner, &record);
                } else if let Some(epoch) = self.epoch(owner) {
                    self.stand_in.refused(owner, epoch, rule);
                }
            }
            Body::Offer { .. } => {
                let answer = self.offered(message, rule);
                self.put(answer);
            }
            Body::Answer { .. } => self.answered(message, rule),
        }
    }

    pub fn take(&mut self, by: usize, message: &Message, rule: Rule) -> bool {
        let Message { record, epoch, .. } = message;
        epoch.is_some_and(|read| self.replicas[by].take(record, read, rule, &mut self.history))
    }

    /// Counts `store` for a write if its coordinator lives on and may count it.
    fn count(&mut self, write: usize, store: usize, read: Option<Epoch>, rule: Rule) {
        let made = self.history.get(write);
        let coordinator = &self.replicas[made.by as usize];
        let (Some(read), Some(epoch)) = (read, coordinator.disk.epoch) else { return };
        let may = if store < self.replicas.len() {
            !rule.is(Variant::OwnersCountByEpoch) || read + 1 >= epoch
        } else {
            let earlier = Epoch::from(rule.is(Variant::CountsEarlierStandIns));
            let others = self.others(made.by as usize);
            let is_fresh = read + earlier >= epoch || rule.is(Variant::StandInsPromise);
            coordinator.counts_stand_ins(others, rule) && is_fresh
        };
        if may && coordinator.incarnation == made.dot.incarnation {
            self.history.acknowledge(write, store);
        }
    }

    /// The number of stores that have a write or what replaced it.
    pub fn stores_of(&self, write: usize) -> usize {
        let owners = self.replicas.iter().map(|replica| replica.disk.record.writes());
        let copies = self.stand_in.copies.iter().fold(0, |all, copy| all | copy.record.writes());
        owners.chain([copies]).filter(|writes| self.history.covers(*writes, write)).count()
    }

    /// A fault is over when the store has met all others and two stores have each acknowledged write.
    fn heal(&mut self) {
        let Some(wound) = self.wound else { return };
        let reaped = |write: usize| self.history.reaped & (1 << write) != 0;
        let mut acknowledged = self.history.acknowledged();
        if wound.unmet == 0 && acknowledged.all(|write| reaped(write) || self.stores_of(write) >= 2) {
            self.wound = None;
        }
    }
}

/// A record as it travels outside of exchanges.
fn outside_exchanges(record: Record, rule: Rule) -> Record {
    if !rule.is(Variant::OnlyExchangesSaySince) {
        return record;
    }
    let mut bare = Record::default();
    for (write, held) in record.versions() {
        bare.insert(write, crate::epochs::record::Held { since: Epoch::MAX / 2, ..held });
    }
    bare
}
