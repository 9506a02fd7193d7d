//! A replica of the partition.

use crate::epochs::history::{Dot, History};
use crate::epochs::record::{Held, Record, WRITES_MAX, Writes, each, one};
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::variant::Variant;

/// What is on a replica's disk, as far as an old copy of it is like it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    pub record: Record,
    /// The epoch; none before an empty store has met another.
    pub epoch: Option<Epoch>,
    /// The replicas with which it has to finish an exchange before it votes, a bit each.
    pub missing: u8,
    /// The latest epoch before which the stand-in said to keep nothing.
    pub cleared: Option<Epoch>,
    /// Every write that it has taken; kept by the variant with node-wide clocks only.
    pub seen: Writes,
    /// Since when each write is in pasts here, where names go from them by their own age.
    names: [Option<Epoch>; WRITES_MAX],
    /// The actor with which it may go on: birth and last counter.
    own: Option<(u8, u8)>,
    births: u8,
}

/// A replica: its disk, and what it keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replica {
    pub disk: Disk,
    pub incarnation: u8,
    /// The others with which it has finished an exchange since it entered its epoch in this life, a bit each.
    pub met: u8,
    /// In which epoch each other was when they finished an exchange in this life.
    pub seen: [Option<Epoch>; 3],
    /// Whether the stand-in said, since then, that it has no copy made before.
    pub is_clear: bool,
    /// The others that have answered it in this life when they were not ahead of it, a bit each.
    pub heard: u8,
}

impl Replica {
    /// A replica of the first layout: empty, and complete.
    pub fn first(incarnation: u8) -> Self {
        let disk = Disk { epoch: Some(0), ..Disk::default() };
        Replica { disk, incarnation, met: 0, seen: [None; 3], is_clear: false, heard: u8::MAX }
    }

    /// Opens `disk` in a new life.
    pub fn open(&mut self, disk: Disk, incarnation: u8, rule: Rule) {
        let met = if rule.is(Variant::EarlierLivesCount) { self.met } else { 0 };
        let disk = Disk { own: None, births: 0, ..disk };
        *self = Replica { disk, incarnation, met, seen: [None; 3], is_clear: false, heard: 0 };
    }

    /// A new life on an empty disk. `others` have to be met before it votes.
    pub fn recover(&mut self, epoch: Option<Epoch>, others: u8, incarnation: u8, rule: Rule) {
        self.open(Disk { epoch, missing: others, ..Disk::default() }, incarnation, rule);
    }

    pub fn is_recovering(&self) -> bool {
        self.disk.missing != 0
    }

    /// Whether it counts stand-ins for the writes that it coordinates.
    pub fn counts_stand_ins(&self, others: u8, rule: Rule) -> bool {
        let heard = self.heard & others;
        match rule.variant {
            _ if rule.is(Variant::StandInsPromise) => true,
            Some(Variant::CountsBeforeMeeting) => true,
            Some(Variant::CountsAfterMeetingOne) => heard != 0,
            Some(Variant::CountsAfterMeetingOneAndWhole) => heard != 0 && !self.is_recovering(),
            _ => heard == others,
        }
    }

    /// The name of the next write here.
    pub fn mint(&mut self, rule: Rule, history: &History) -> Dot {
        let incarnation = self.incarnation;
        let known = |birth: u8| {
            let dots = each(self.disk.record.context()).map(|write| history.get(write).dot);
            dots.filter(|dot| (dot.incarnation, dot.birth) == (incarnation, birth))
                .map(|dot| dot.counter)
                .max()
                .unwrap_or(0)
        };
        let (birth, counter) = match self.disk.own {
            _ if rule.is(Variant::CounterFromRecord) => (0, known(0) + 1),
            Some((birth, counter)) if known(birth) <= counter => (birth, counter + 1),
            _ => {
                self.disk.births += 1;
                (self.disk.births, 1)
            }
        };
        self.disk.own = Some((birth, counter));
        Dot { incarnation, birth, counter }
    }

    /// Adds a version that was made here.
    pub fn add(&mut self, write: usize, past: Writes, rule: Rule, history: &mut History) {
        self.disk.record.insert(write, Held { past, since: self.disk.epoch.unwrap() });
        self.disk.record.settle(0);
        self.drop_names(rule, history);
    }

    /// Keeps since when names are in pasts, and drops those that are due.
    fn drop_names(&mut self, rule: Rule, history: &mut History) {
        let (true, Some(epoch)) = (rule.names_age(), self.disk.epoch) else { return };
        let covered = self.disk.record.covered();
        let mut due = 0;
        for (write, since) in self.disk.names.iter_mut().enumerate() {
            let is_covered = covered & one(write) != 0;
            *since = since.or(is_covered.then_some(epoch)).filter(|since| {
                is_covered || (rule.name_is_due(*since, epoch) && !rule.name_is_forgotten(*since, epoch))
            });
            due |= if since.is_some_and(|since| rule.name_is_due(since, epoch)) { one(write) } else { 0 };
        }
        history.reap(due & covered);
        self.disk.record.drop_names(due);
    }

    /// Merges records that were read in epoch `read`, unless they are refused.
    pub fn take(&mut self, record: &Record, read: Epoch, rule: Rule, history: &mut History) -> bool {
        let Some(epoch) = self.disk.epoch.filter(|epoch| rule.takes(read, *epoch)) else { return false };
        if rule.is(Variant::SeenMeansDeleted) {
            self.disk.seen |= self.disk.record.writes() | record.writes();
        }
        let mut covered = 0;
        for (write, held) in record.versions() {
            let is_common = rule.is_common(held.since, read, epoch);
            let mut taken = held;
            if let Some(ours) = self.disk.record.get(write) {
                taken.past = match rule.variant {
                    Some(Variant::PastsUnite) => ours.past | held.past,
                    Some(Variant::OwnPastStays) => ours.past,
                    _ => ours.past & held.past,
                };
                let lower = is_common && !rule.is(Variant::SinceIsNotLowered);
                taken.since = if lower { ours.since.min(held.since) } else { ours.since };
            } else if !is_common {
                taken.since = epoch;
            }
            if rule.due(taken.since, epoch) {
                if rule.is(Variant::DueCovers) {
                    covered |= held.past;
                }
                history.reap(taken.past);
                taken.past = 0;
                if history.is_dead(write) {
                    history.reap(one(write));
                    self.disk.record.remove(write);
                    continue;
                }
            }
            self.disk.record.insert(write, taken);
        }
        self.disk.record.settle(covered);
        self.drop_names(rule, history);
        self.forget_own_if_empty();
        true
    }

    /// Drops what another has seen and does not hold.
    pub fn drop_deleted(&mut self, deleted: Writes) {
        each(deleted).for_each(|write| self.disk.record.remove(write));
        self.forget_own_if_empty();
    }

    /// Loses the record without noticing.
    pub fn lose_record(&mut self) {
        self.disk.record = Record::default();
        self.forget_own_if_empty();
    }

    /// The epoch for which it may ask the stand-in: the lowest of any replica.
    pub fn asks_for(&self, others: u8) -> Option<Epoch> {
        let others = (0..3).filter(|other| others & (1 << other) != 0);
        let lowest = others.map(|other| self.seen[other]).min().flatten()?;
        self.disk.epoch.map(|epoch| epoch.min(lowest)).filter(|epoch| self.disk.cleared < Some(*epoch))
    }

    /// Whether it has done in its epoch what comes before the next.
    pub fn may_turn(&self, others: u8, rule: Rule) -> bool {
        let met = if rule.is(Variant::OneExchangeIsEnough) { self.met != 0 } else { self.met == others };
        let cleared = rule.is(Variant::StandInsPromise) && self.disk.cleared >= self.disk.epoch;
        let clear = self.is_clear || cleared || !rule.stand_in || rule.is(Variant::TurnsWithoutStandIns);
        self.disk.epoch.is_some() && met && clear
    }

    /// Enters `epoch` and drops what is due there.
    pub fn enter(&mut self, epoch: Epoch, rule: Rule, history: &mut History) {
        self.disk.epoch = Some(epoch);
        self.is_clear = false;
        if !rule.is(Variant::EarlierExchangesCount) {
            self.met = 0;
        }
        let record = self.disk.record;
        for (write, held) in record.versions().filter(|(_, held)| rule.due(held.since, epoch)) {
            if history.is_dead(write) {
                history.reap(one(write));
                self.disk.record.remove(write);
                continue;
            }
            history.reap(held.past);
            self.disk.record.insert(write, Held { past: 0, ..held });
        }
        self.drop_names(rule, history);
        self.forget_own_if_empty();
    }

    /// An actor is gone on with only while there is a record.
    fn forget_own_if_empty(&mut self) {
        if self.disk.record.is_empty() {
            self.disk.own = None;
            self.disk.names = [None; WRITES_MAX];
        }
    }
}
