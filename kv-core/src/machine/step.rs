use crate::ids::{Epoch, OpId};
use crate::machine::Target;
use crate::machine::outbox::Outbox;
use crate::machine::read_quorum::ReadQuorum;
use crate::time::Now;
use crate::view::View;
use crate::wire::ReadItem;

/// Set in the index of an owner that is asked again to heal a damage, so that what it said before is told apart from what it says after.
pub(super) const HEALING: u8 = 0x80;

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
        let unless = self.local(target).and_then(|local| quorum.record(local)).map(|record| record.digest());
        for index in quorum.ask(most, |index| outbox.rank(target.owners.get(index))) {
            match target.owners.get(usize::from(index)) {
                Some(owner) if *owner == self.view.node() => {
                    outbox.read_local(self.op, index, read_item(target, None))
                }
                Some(owner) => {
                    outbox.read(*owner, self.op, index, read_item(target, unless), self.timeout_us())
                }
                None => {}
            }
        }
    }

    /// Asks one more owner, because those that were asked are slow.
    pub(super) fn hedge<T>(&self, target: &Target, quorum: &mut ReadQuorum, outbox: &mut Outbox<'_, T>) {
        for owner in quorum.waiting_for(&target.owners) {
            outbox.missed(owner);
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
        for index in quorum.ask(usize::MAX, |_| 0) {
            let (item, asked) = (read_item(target, None), index | HEALING);
            match target.owners.get(usize::from(index)) {
                Some(owner) if *owner == self.view.node() => outbox.read_local(self.op, asked, item),
                Some(owner) => outbox.read(*owner, self.op, asked, item, timeout_us),
                None => {}
            }
        }
    }

    /// Asks one owner again in a request of its own.
    pub(super) fn read_alone<T>(&self, target: &Target, index: u8, outbox: &mut Outbox<'_, T>) {
        if let Some(owner) = target.owners.get(usize::from(index & !HEALING)) {
            outbox.read_alone(*owner, self.op, index, read_item(target, None), self.heal_timeout_us());
        }
    }
}

fn read_item(target: &Target, unless: Option<u64>) -> ReadItem {
    ReadItem { bucket: target.bucket.id, epoch: Epoch(0), key: target.key.clone(), unless }
}
