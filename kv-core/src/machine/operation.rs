use crate::command::{GetAnswer, PutResult, ScanAnswer};
use crate::error::{Error, ErrorKind};
use crate::ids::{Incarnation, NodeId, TraceId};
use crate::machine::get::{GetStep, GetWork};
use crate::machine::outbox::Outbox;
use crate::machine::put::{PutStep, PutWork};
use crate::machine::scan::{ScanStep, ScanWork};
use crate::machine::step::Step;
use crate::machine::{PreparedGet, Target};
use crate::storage::Durability;
use crate::transport::CallError;
use crate::wire::{ReadAnswer, WriteAnswer};

/// One client operation (or one key of one) under way.
#[derive(Debug)]
pub(super) struct Operation<T> {
    /// Who is told; nobody any more once the client was answered.
    pub(super) waiter: Option<Waiter<T>>,
    pub(super) work: Work,
    /// When the operation began, on the monotonic clock.
    pub(super) begun_us: u64,
    /// When the operation gives up, on the monotonic clock.
    pub(super) deadline_us: u64,
    /// The number under which the put was handed to an owner.
    pub(super) forward: Option<u64>,
    /// Set while a damage of the key waits to be healed by this operation.
    pub(super) heals: bool,
}

#[derive(Debug)]
pub(super) enum Work {
    Get(GetWork),
    Put(PutWork),
    Scan(Box<ScanWork>),
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
    /// Get these keys for a scan.
    GetForScan(Vec<Result<PreparedGet, Error>>),
    /// Answer the client of a scan, which is over.
    EndScan(Result<ScanAnswer, Error>),
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

impl From<ScanStep> for Next {
    fn from(step: ScanStep) -> Self {
        match step {
            ScanStep::Wait => Next::Wait,
            ScanStep::Get(gets) => Next::GetForScan(gets),
            ScanStep::End(result) => Next::EndScan(result),
        }
    }
}

impl<T> Operation<T> {
    /// The key of an operation on one.
    pub(super) fn target(&self) -> Option<&Target> {
        match &self.work {
            Work::Get(get) => Some(&get.target),
            Work::Put(put) => Some(&put.target),
            Work::Scan(_) => None,
        }
    }

    /// What the operation belongs to, if that is followed.
    pub(super) fn trace(&self) -> TraceId {
        match &self.work {
            Work::Scan(scan) => scan.trace(),
            _ => self.target().map_or(TraceId::NONE, |target| target.trace),
        }
    }

    pub(super) fn is_settling(&self) -> bool {
        matches!(&self.work, Work::Get(get) if get.is_settling())
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
            Work::Scan(_) => Next::Wait,
        }
    }
}

impl<T> Operation<T> {
    pub(super) fn write_answer(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<(WriteAnswer, Incarnation), &CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> Next {
        match &mut self.work {
            Work::Put(put) => Next::from(put.write_answer(step, index, answer, outbox)),
            Work::Get(get) => {
                let result = match answer {
                    Ok((WriteAnswer::Committed(_), _)) => Ok(()),
                    Ok((WriteAnswer::Refused(kind), _)) => Err(kind),
                    Ok((WriteAnswer::Unknown, _)) => Err(ErrorKind::CommitUnknown),
                    Err(error) => Err(error.kind()),
                };
                Next::from(get.acknowledged(step, result, outbox))
            }
            Work::Scan(_) => Next::Wait,
        }
    }

    /// A commit of this node's own store ended.
    pub(super) fn committed(
        &mut self,
        step: Step<'_>,
        result: Result<(Incarnation, Durability), ErrorKind>,
        outbox: &mut Outbox<'_, T>,
    ) -> Next {
        match &mut self.work {
            Work::Put(put) => Next::from(put.committed(step, result, outbox)),
            Work::Get(get) => Next::from(get.acknowledged(step, result.map(|_| ()), outbox)),
            Work::Scan(_) => Next::Wait,
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
