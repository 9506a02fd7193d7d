use crate::command::{GetAnswer, PutResult};
use crate::error::Error;
use crate::ids::{Epoch, NodeId, OpId};
use crate::machine::Target;
use crate::machine::get::{GetStep, GetWork};
use crate::machine::outbox::Outbox;
use crate::machine::put::{PutStep, PutWork};
use crate::machine::read_quorum::ReadQuorum;
use crate::time::Now;
use crate::transport::CallError;
use crate::view::View;
use crate::wire::{ReadAnswer, ReadItem};

/// Set in the index of an owner that is asked again to heal a damage, so that what it said before is told apart from what it says after.
pub(super) const HEALING: u8 = 0x80;

/// One client operation (or one key of one) under way.
#[derive(Debug)]
pub(super) struct Operation<T> {
    /// Who is told; nobody any more once the client was answered.
    pub(super) waiter: Option<Waiter<T>>,
    pub(super) work: Work,
    /// When the operation gives up, on the monotonic clock.
    pub(super) deadline_us: u64,
    /// The number under which the put was handed to an owner.
    pub(super) forward: Option<u64>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "operations are boxed as a whole")]
pub(super) enum Work {
    Get(GetWork),
    Put(PutWork),
}

/// What a step of an operation comes to, beside its effects.
#[derive(Debug)]
pub(super) enum Next {
    Wait,
    /// Hand the put to that owner.
    Forward(NodeId),
    /// Answer the client of a get, which may go on repairing.
    EndGet(Result<GetAnswer, Error>),
    /// Answer the client of a put, which is over.
    EndPut(PutResult),
}

impl From<GetStep> for Next {
    fn from(step: GetStep) -> Self {
        step.map_or(Next::Wait, Next::EndGet)
    }
}

impl From<PutStep> for Next {
    fn from(step: PutStep) -> Self {
        match step {
            PutStep::Wait => Next::Wait,
            PutStep::Forward(owner) => Next::Forward(owner),
            PutStep::End(result) => Next::EndPut(result),
        }
    }
}

impl<T> Operation<T> {
    pub(super) fn target(&self) -> &Target {
        match &self.work {
            Work::Get(get) => &get.target,
            Work::Put(put) => &put.target,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(&self.work, Work::Get(get) if get.is_done())
    }

    pub(super) fn read_answer(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<ReadAnswer, &CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> Next {
        match &mut self.work {
            Work::Get(get) => Next::from(get.answer(step, index, answer, outbox)),
            Work::Put(put) => Next::from(put.read_answer(step, index, answer, outbox)),
        }
    }
}

/// Who is told how an operation ended.
#[derive(Debug)]
pub(super) enum Waiter<T> {
    /// Somebody outside.
    Ticket(T),
    /// An operation over many keys, of which this one is at that place.
    Part(u64, usize),
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
        for index in quorum.ask(most) {
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

    /// Asks every owner again, now that a damage was seen.
    pub(super) fn read_to_heal<T>(
        &self,
        target: &Target,
        quorum: &mut ReadQuorum,
        outbox: &mut Outbox<'_, T>,
    ) {
        let timeout_us = self.view.limits.heal_timeout_ms * 1_000;
        for index in quorum.ask(usize::MAX) {
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
            outbox.read_alone(*owner, self.op, index, read_item(target, None), self.timeout_us());
        }
    }
}

fn read_item(target: &Target, unless: Option<u64>) -> ReadItem {
    ReadItem { bucket: target.bucket.id, epoch: Epoch(0), key: target.key.clone(), unless }
}
