use smallvec::SmallVec;

use crate::ids::{NodeId, OpId};
use crate::machine::Target;
use crate::machine::outbox::Outbox;
use crate::machine::read_quorum::ReadQuorum;
use crate::record::{EncodedRecord, Provenance};
use crate::replica::Merge;
use crate::time::Now;
use crate::view::View;
use crate::wire::{ReadItem, WriteItem};

/// Set in the index of an owner that is asked again to heal a damage, so that what it said before is told apart from what it says after.
pub(super) const HEALING: u8 = 0x80;

/// From this rank on a node is not relied upon ([`crate::machine::Health::rank`]).
pub(super) const DOUBTFUL: u8 = 2;
/// The rank of a node that is known to be gone.
pub(super) const GONE: u8 = 3;

/// How a read quorum is getting on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collected {
    Enough,
    Waiting,
    /// Nobody is left who could be asked.
    Hopeless,
}

/// What every step of an operation is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) view: &'a View,
    pub(super) now: Now,
    pub(super) op: OpId,
    pub(super) deadline_us: u64,
}

impl Step<'_> {
    /// Microseconds until the deadline, at least one millisecond: what is sent is waited for a moment.
    pub(super) fn timeout_us(&self) -> u64 {
        self.deadline_us.saturating_sub(self.now.monotonic_us).max(1_000)
    }

    /// Microseconds that are given to what happens after the client has its answer.
    pub(super) fn heal_timeout_us(&self) -> u64 {
        self.timeout_us().max(self.view.limits.heal_timeout_ms * 1_000)
    }

    /// The nodes that could coordinate a put of a key that this node does not own, the best first: owners, and behind them, where nobody else
    /// can, those that stand in for them, up to this node itself.
    pub(super) fn coordinators<T>(&self, target: &Target, outbox: &Outbox<'_, T>) -> SmallVec<[NodeId; 4]> {
        let mut nodes = target.owners.clone();
        nodes.sort_by_key(|owner| outbox.rank(Some(owner)));
        if target.is_sloppy {
            nodes.retain(|owner| outbox.rank(Some(owner)) < GONE);
            let stand_ins = self.view.stand_ins(&target.bucket, target.token).iter();
            let alive =
                stand_ins.filter(|node| **node == self.view.node() || outbox.rank(Some(node)) < DOUBTFUL);
            for node in alive {
                nodes.push(*node);
                if *node == self.view.node() {
                    break;
                }
            }
        }
        nodes
    }

    /// This node's place among the owners.
    pub(super) fn local(&self, target: &Target) -> Option<u8> {
        let place = target.owners.iter().position(|owner| *owner == self.view.node())?;
        Some(place as u8)
    }

    /// Begins a read: an owner reads its own record first, so that the others need not send what it has.
    pub(super) fn begin_read<T>(&self, target: &Target, quorum: &mut ReadQuorum, outbox: &mut Outbox<'_, T>) {
        match self.local(target) {
            Some(local) => {
                quorum.ask_one(local);
                outbox.read_local(self.op, local, read_item(target, None));
            }
            None => self.read_more(target, quorum, quorum.needed, outbox),
        }
    }

    /// Asks up to `most` more owners.
    pub(super) fn read_more<T>(
        &self,
        target: &Target,
        quorum: &mut ReadQuorum,
        most: usize,
        outbox: &mut Outbox<'_, T>,
    ) {
        // Who is known to be gone is asked only if nobody stands in.
        let rank = |index: usize| {
            let rank = outbox.rank(target.owners.get(index));
            (!target.is_sloppy || rank < GONE).then_some(rank)
        };
        let asked = quorum.ask(most, rank);
        for index in asked {
            self.ask(target, quorum, index, outbox);
        }
        if target.is_sloppy {
            self.ask_stand_ins(target, quorum, outbox);
        }
    }

    /// Asks nodes that stand in for owners that cannot be reached, as far as the others are too few.
    fn ask_stand_ins<T>(&self, target: &Target, quorum: &mut ReadQuorum, outbox: &mut Outbox<'_, T>) {
        let missing = quorum.stand_ins_missing(|index| outbox.rank(target.owners.get(index)) < DOUBTFUL);
        let candidates = self.view.stand_ins(&target.bucket, target.token).iter();
        let candidates: SmallVec<[NodeId; 2]> = candidates
            .filter(|node| outbox.rank(Some(*node)) < DOUBTFUL && !quorum.stand_ins().contains(node))
            .take(missing)
            .copied()
            .collect();
        let found = candidates.len();
        for node in candidates {
            let index = quorum.add_stand_in(node);
            self.ask(target, quorum, index, outbox);
        }
        if found < missing {
            for index in quorum.ask(missing - found, |_| Some(0)) {
                self.ask(target, quorum, index, outbox);
            }
        }
    }

    fn ask<T>(&self, target: &Target, quorum: &ReadQuorum, index: u8, outbox: &mut Outbox<'_, T>) {
        let is_owner = usize::from(index) < target.owners.len();
        let own = self.local(target).and_then(|local| quorum.record(local)).map(|record| record.digest());
        let item = ReadItem { stand_in: !is_owner, ..read_item(target, own.filter(|_| is_owner)) };
        match quorum.node(index, &target.owners) {
            Some(node) if node == self.view.node() => {
                outbox.read_local(self.op, index, ReadItem { unless: None, ..item });
            }
            Some(node) => outbox.read(node, self.op, index, item, self.timeout_us()),
            None => {}
        }
    }

    /// Looks whether enough replicas answered, and asks more where that is needed.
    pub(super) fn collect<T>(
        &self,
        target: &Target,
        quorum: &mut ReadQuorum,
        outbox: &mut Outbox<'_, T>,
    ) -> Collected {
        if quorum.is_reached() {
            return Collected::Enough;
        }
        if target.is_sloppy || !quorum.is_hopeless() {
            let missing = quorum.missing();
            self.read_more(target, quorum, missing, outbox);
        }
        if quorum.waiting() == 0 || (!target.is_sloppy && quorum.is_hopeless()) {
            return Collected::Hopeless;
        }
        Collected::Waiting
    }

    /// Asks one more owner, because those that were asked are slow.
    pub(super) fn hedge<T>(&self, target: &Target, quorum: &mut ReadQuorum, outbox: &mut Outbox<'_, T>) {
        for node in quorum.waiting_for(&target.owners) {
            outbox.missed(node);
        }
        self.read_more(target, quorum, 1, outbox);
    }

    /// Asks every owner again, now that a damage was seen.
    pub(super) fn read_to_heal<T>(
        &self,
        target: &Target,
        quorum: &mut ReadQuorum,
        outbox: &mut Outbox<'_, T>,
    ) {
        let timeout_us = self.heal_timeout_us();
        for index in quorum.ask(usize::MAX, |_| Some(0)) {
            let (item, asked) = (read_item(target, None), index | HEALING);
            match target.owners.get(usize::from(index)) {
                Some(owner) if *owner == self.view.node() => outbox.read_local(self.op, asked, item),
                Some(owner) => outbox.read(*owner, self.op, asked, item, timeout_us),
                None => {}
            }
        }
    }

    /// Sends an owner that is behind what it lacks, and waits for it.
    pub(super) fn write_repair<T>(
        &self,
        target: &Target,
        (owner, index): (NodeId, u8),
        (record, read): (EncodedRecord, Provenance),
        outbox: &mut Outbox<'_, T>,
    ) {
        if owner == self.view.node() {
            let (bucket, key) = (target.bucket.clone(), target.key.clone());
            let merge =
                Merge { bucket, key, token: target.token, record, read, heal: None, stand_in_for: None };
            outbox.repair_own(self.op, merge);
            return;
        }
        let (bucket, key) = (target.bucket.id, target.key.clone());
        let record = record.into_bytes();
        let item = WriteItem { bucket, read, key, record, heal: None, stand_in_for: None };
        outbox.write_repair(owner, self.op, index, item, self.timeout_us());
    }

    /// Asks one owner again in a request of its own.
    pub(super) fn read_alone<T>(&self, target: &Target, index: u8, outbox: &mut Outbox<'_, T>) {
        if let Some(owner) = target.owners.get(usize::from(index & !HEALING)) {
            outbox.read_alone(*owner, self.op, index, read_item(target, None), self.heal_timeout_us());
        }
    }
}

fn read_item(target: &Target, unless: Option<u64>) -> ReadItem {
    let (bucket, key) = (target.bucket.id, target.key.clone());
    ReadItem { bucket, key, unless, stand_in: false, repairs: target.repairs }
}
