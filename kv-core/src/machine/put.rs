use bytes::Bytes;
use smallvec::SmallVec;

use crate::causality::{Context, ContextToken, Dot, Stamp};
use crate::command::{
    Ack, Decision, Explain, ExplainedReplica, PutApplied, PutResult, ReplicaState, WriteOptions,
};
use crate::error::{Cause, Error, ErrorKind, QuorumShortfall};
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::machine::outbox::Outbox;
use crate::machine::prepare::Basis;
use crate::machine::read_quorum::ReadQuorum;
use crate::machine::step::Step;
use crate::machine::{Effect, PreparedPut, Resolution, ResolveRequest, Target};
use crate::mutants::{self, Mutant};
use crate::record::EncodedRecord;
use crate::replica::{Mint, Mutation};
use crate::transport::CallError;
use crate::view::View;
use crate::wire::{ForwardAnswer, ReadAnswer, WriteAnswer, WriteItem};

/// Coordinates one put or delete: reads what an overwrite replaces, has the version made by this node's writer (or by another owner), sends
/// the merged record to the other owners, and counts acknowledgements.
#[derive(Debug)]
pub(super) struct PutWork {
    pub(super) target: Target,
    value: Option<Bytes>,
    needed: usize,
    options: WriteOptions,
    phase: Phase,
    context: Context,
    written: Option<(Dot, ContextToken)>,
    acks: SmallVec<[Progress; 4]>,
    extra_acks: usize,
    deadline_us: u64,
}

#[derive(Debug)]
enum Phase {
    /// Reads what is overwritten.
    Reading(Box<ReadQuorum>),
    /// Merges what was read.
    Resolving,
    /// Waits for the writer.
    Minting,
    /// Waits for acknowledgements.
    Writing,
    /// Waits for the owner to which the put was handed; the causes of those that did not take it.
    Forwarding {
        next: usize,
        introduced: bool,
    },
    Done,
}

/// What is known of one owner's copy of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Committed(Incarnation),
    Failed(ErrorKind),
}

/// What a step of a put wants beside its effects.
#[derive(Debug)]
pub(super) enum PutStep {
    /// Nothing.
    Wait,
    /// The put is to be handed to that owner.
    Forward(NodeId),
    /// The put has ended.
    End(PutResult),
}

impl PutWork {
    pub(super) fn new(put: PreparedPut) -> Self {
        let owners = put.target.owners.len();
        let (phase, context) = match put.basis {
            Basis::Read(needed) if mutants::on(Mutant::OverwriteReadsOneReplica) => {
                (Phase::Reading(Box::new(ReadQuorum::new(needed.min(1), owners))), Context::default())
            }
            Basis::Read(needed) => {
                (Phase::Reading(Box::new(ReadQuorum::new(needed, owners))), Context::default())
            }
            Basis::Given(context) => (Phase::Minting, context),
        };
        PutWork {
            target: put.target,
            value: put.value,
            needed: if mutants::on(Mutant::ForgetsW) { 1 } else { put.needed },
            options: put.options,
            phase,
            context,
            written: None,
            acks: SmallVec::from_elem(Progress::Waiting, owners),
            extra_acks: 0,
            deadline_us: put.deadline_us,
        }
    }

    pub(super) fn begin<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        if let Phase::Reading(quorum) = &mut self.phase {
            step.begin_read(&self.target, quorum, outbox);
            return PutStep::Wait;
        }
        self.make(step, outbox)
    }

    pub(super) fn read_answer<T>(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<ReadAnswer, &CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let Phase::Reading(quorum) = &mut self.phase else { return PutStep::Wait };
        match answer {
            Ok(answer) => quorum.answer(index, answer, step.local(&self.target), &self.target),
            Err(error) => quorum.fail(index, error),
        }
        if quorum.is_reached() {
            return self.resolve(step, outbox);
        }
        if quorum.is_hopeless() {
            let message = "too few replicas can say what the overwrite replaces: nothing was written";
            let error = quorum.shortfall(ErrorKind::Unavailable, message, &self.target.owners);
            return self.end(PutResult::NotApplied(error));
        }
        let missing = quorum.missing();
        step.read_more(&self.target, quorum, missing, outbox);
        PutStep::Wait
    }

    fn resolve<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let Phase::Reading(quorum) = &self.phase else { return PutStep::Wait };
        let records = quorum.records();
        self.phase = Phase::Resolving;
        if records.is_empty() {
            return self.replace(step, Context::default(), None, outbox);
        }
        outbox.effect(Effect::Resolve(Box::new(ResolveRequest {
            op: step.op,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            records,
            secret: *step.view.secret(),
        })));
        PutStep::Wait
    }

    pub(super) fn resolved<T>(
        &mut self,
        step: Step<'_>,
        result: Result<Resolution, Error>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        match (&self.phase, result) {
            (Phase::Resolving, Ok(resolution)) => {
                let live = !resolution.values.is_empty();
                let seen = (!live).then_some(resolution.context);
                self.replace(step, resolution.record.context(), seen, outbox)
            }
            (Phase::Resolving, Err(error)) => self.end(PutResult::NotApplied(error)),
            _ => PutStep::Wait,
        }
    }

    /// The read inside an overwrite found `context`; `nothing_live` is its sealed form if no live value was found.
    fn replace<T>(
        &mut self,
        step: Step<'_>,
        context: Context,
        nothing_live: Option<ContextToken>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let nothing_there = context == Context::default();
        if self.value.is_none() && (nothing_live.is_some() || nothing_there) {
            // There is nothing to delete. A write that is still on its way is concurrent with this delete and stays.
            let context = nothing_live
                .unwrap_or_else(|| context.seal(step.view.secret(), self.target.bucket.id, &self.target.key));
            let applied = PutApplied { dot: None, context, acks: Vec::new(), explain: None };
            return self.end(PutResult::Applied(applied));
        }
        self.context = context;
        self.make(step, outbox)
    }

    fn make<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        if step.local(&self.target).is_none() {
            self.phase = Phase::Forwarding { next: 0, introduced: false };
            return self.next_forward();
        }
        self.phase = Phase::Minting;
        outbox.effect(Effect::Mutate(Mutation::Mint(Box::new(Mint {
            op: step.op,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            token: self.target.token,
            context: self.context.clone(),
            value: self.value.clone(),
            expiry: None,
            id: None,
            deadline_us: step.deadline_us,
        }))));
        PutStep::Wait
    }

    /// The writer made the version, or refused to.
    pub(super) fn minted<T>(
        &mut self,
        step: Step<'_>,
        result: Result<(Dot, Stamp, EncodedRecord), Error>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        if !matches!(self.phase, Phase::Minting) {
            return PutStep::Wait;
        }
        let (dot, stamp, record) = match result {
            Ok(made) => made,
            Err(error) => return self.end(PutResult::NotApplied(error)),
        };
        let mut context = std::mem::take(&mut self.context);
        context.dots.insert(dot);
        context.stamp = context.stamp.max(stamp);
        if mutants::on(Mutant::PutAnswerCoversRecord)
            && let Ok(record) = record.decode()
        {
            context = record.context();
        }
        let sealed = context.seal(step.view.secret(), self.target.bucket.id, &self.target.key);
        self.written = Some((dot, sealed));
        self.phase = Phase::Writing;
        for (index, owner) in self.target.owners.iter().enumerate() {
            if *owner == step.view.node() {
                continue;
            }
            let item = WriteItem {
                bucket: self.target.bucket.id,
                epoch: Epoch(0),
                key: self.target.key.clone(),
                record: record.to_bytes(),
                heal: None,
            };
            outbox.write(*owner, step.op, index as u8, item, step.timeout_us());
        }
        if mutants::on(Mutant::AcknowledgesBeforeCommit)
            && let Some(local) = step.local(&self.target)
        {
            return self.acknowledge(step, local, Progress::Committed(Incarnation(0)));
        }
        PutStep::Wait
    }

    /// This node's own commit ended.
    pub(super) fn committed(&mut self, step: Step<'_>, result: Result<Incarnation, ErrorKind>) -> PutStep {
        let assumed = mutants::on(Mutant::FailedCommitCountsAsCommit).then_some(Incarnation(0));
        let result = result.or_else(|kind| assumed.ok_or(kind));
        match step.local(&self.target) {
            Some(local) => {
                self.acknowledge(step, local, result.map_or_else(Progress::Failed, Progress::Committed))
            }
            None => PutStep::Wait,
        }
    }

    /// Another owner answered, or did not.
    pub(super) fn write_answer(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<(WriteAnswer, Incarnation), &CallError>,
    ) -> PutStep {
        let progress = match answer {
            Ok((WriteAnswer::Committed, incarnation)) => Progress::Committed(incarnation),
            Ok((WriteAnswer::Refused(kind), _)) => Progress::Failed(kind),
            Ok((WriteAnswer::Unknown, _)) => Progress::Failed(ErrorKind::CommitUnknown),
            Err(error) => Progress::Failed(error.kind()),
        };
        self.acknowledge(step, index, progress)
    }

    fn acknowledge(&mut self, step: Step<'_>, index: u8, progress: Progress) -> PutStep {
        if !matches!(self.phase, Phase::Writing) {
            return PutStep::Wait;
        }
        // Nothing is called applied after its deadline, however late this node comes to it: the healing of damages relies on that.
        if step.now.monotonic_us > self.deadline_us {
            return self.deadline();
        }
        match self.acks.get_mut(usize::from(index)) {
            Some(known) if *known == Progress::Waiting => *known = progress,
            Some(_) if mutants::on(Mutant::DuplicatedAnswerCountsTwice) => self.extra_acks += 1,
            _ => {}
        }
        let got = self.committed_owners() + self.extra_acks;
        let waiting = self.acks.iter().filter(|progress| **progress == Progress::Waiting).count();
        if got >= self.needed {
            let applied = self.applied(step.view);
            return self.end(PutResult::Applied(applied));
        }
        if got + waiting < self.needed {
            let message = "too few replicas could commit the write: it may appear";
            let error = self.shortfall(ErrorKind::Unavailable, message);
            return self.end(PutResult::Indeterminate(error));
        }
        PutStep::Wait
    }

    pub(super) fn hedge<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        if let Phase::Reading(quorum) = &mut self.phase {
            step.hedge(&self.target, quorum, outbox);
        }
    }

    /// Whether it begins with a read.
    pub(super) fn reads(&self) -> bool {
        matches!(self.phase, Phase::Reading(_))
    }

    pub(super) fn deadline(&mut self) -> PutStep {
        let kind = ErrorKind::DeadlineExceeded;
        let result = match &self.phase {
            Phase::Reading(quorum) => {
                let message =
                    "the deadline passed before the overwrite knew what it replaces: nothing was written";
                PutResult::NotApplied(quorum.shortfall(kind, message, &self.target.owners))
            }
            Phase::Resolving => {
                PutResult::NotApplied(Error::new(kind, "the deadline passed: nothing was written"))
            }
            Phase::Writing if mutants::on(Mutant::TimedOutPutSaysNotApplied) => {
                PutResult::NotApplied(Error::new(kind, "the deadline passed"))
            }
            Phase::Minting | Phase::Forwarding { .. } => {
                PutResult::Indeterminate(Error::new(kind, "the deadline passed: the write may appear"))
            }
            Phase::Writing => {
                let message = "the deadline passed before enough replicas committed: the write may appear";
                PutResult::Indeterminate(self.shortfall(kind, message))
            }
            Phase::Done => return PutStep::Wait,
        };
        self.end(result)
    }

    /// What the owner to which the put was handed is told.
    pub(super) fn forward_body(&self, step: Step<'_>) -> (Option<Bytes>, ContextToken, WriteOptions) {
        let context = self.context.seal(step.view.secret(), self.target.bucket.id, &self.target.key);
        let mut options = self.options.clone();
        options.timeout_ms = Some((step.timeout_us() / 1_000).clamp(1, u64::from(u32::MAX)) as u32);
        (self.value.clone(), context, options)
    }

    /// The owner to which the put was handed answered, or did not.
    pub(super) fn forward_answer(&mut self, answer: Result<ForwardAnswer, CallError>) -> PutStep {
        let Phase::Forwarding { next, introduced } = &mut self.phase else { return PutStep::Wait };
        let cause = match answer {
            Ok(ForwardAnswer { result: PutResult::NotApplied(error) }) if error.is_retryable() => {
                // A peer that is new to this node has just said which life it lives.
                if error.kind() == ErrorKind::StaleIncarnation && !*introduced {
                    *introduced = true;
                    return self.next_forward();
                }
                error.kind()
            }
            Ok(ForwardAnswer { result }) => return self.end(result),
            // A peer that is new to this node, or began a new life, refuses and has just said which.
            Err(CallError::NotSent(ErrorKind::StaleIncarnation, _)) if !*introduced => {
                *introduced = true;
                return self.next_forward();
            }
            Err(CallError::NotSent(kind, _)) => kind,
            Err(CallError::NoAnswer(kind, message)) => {
                let message =
                    format!("the owner that the put was handed to did not answer ({message}): it may appear");
                return self.end(PutResult::Indeterminate(Error::new(kind, message)));
            }
        };
        if let Some(progress) = self.acks.get_mut(*next) {
            *progress = Progress::Failed(cause);
        }
        *next += 1;
        *introduced = false;
        self.next_forward()
    }

    fn next_forward(&mut self) -> PutStep {
        let Phase::Forwarding { next, .. } = &self.phase else { return PutStep::Wait };
        match self.target.owners.get(*next) {
            Some(owner) => PutStep::Forward(*owner),
            None => {
                let message = "no owner of the key could take the put: nothing was written";
                let error = self.shortfall(ErrorKind::Unavailable, message);
                self.end(PutResult::NotApplied(error))
            }
        }
    }

    fn end(&mut self, result: PutResult) -> PutStep {
        self.phase = Phase::Done;
        PutStep::End(result)
    }

    fn applied(&mut self, view: &View) -> PutApplied {
        let acks = self.target.owners.iter().zip(&self.acks).filter_map(|(node, progress)| match progress {
            Progress::Committed(incarnation) => Some(Ack { node: *node, incarnation: *incarnation }),
            _ => None,
        });
        let acks = acks.collect();
        let explain = self.options.explain.then(|| Box::new(self.explain(view)));
        let (dot, context) = match self.written.take() {
            Some((dot, context)) => (Some(dot), context),
            None => (None, ContextToken::default()),
        };
        PutApplied { dot, context, acks, explain }
    }

    fn explain(&self, view: &View) -> Explain {
        let replicas = self.target.owners.iter().zip(&self.acks).map(|(node, progress)| ExplainedReplica {
            node: *node,
            state: match progress {
                Progress::Waiting => ReplicaState::Waiting,
                Progress::Committed(incarnation) => ReplicaState::Committed(*incarnation),
                Progress::Failed(kind) => ReplicaState::Failed(*kind),
            },
            versions: Vec::new(),
            repaired: false,
        });
        Explain {
            coordinator: view.node(),
            token: self.target.token,
            partition: view.layout.partitioning().partition(self.target.token),
            layout: view.layout.version(),
            needed: self.needed as u8,
            replicas: replicas.collect(),
            decision: Decision::Written,
        }
    }

    fn committed_owners(&self) -> usize {
        self.acks.iter().filter(|progress| matches!(progress, Progress::Committed(_))).count()
    }

    fn shortfall(&self, kind: ErrorKind, message: &str) -> Error {
        let causes = self.target.owners.iter().zip(&self.acks).filter_map(|(node, progress)| {
            let kind = match progress {
                // An owner that is still waited for is a cause only of a deadline that passed.
                Progress::Waiting if kind == ErrorKind::DeadlineExceeded => kind,
                Progress::Committed(_) | Progress::Waiting => return None,
                Progress::Failed(cause) => *cause,
            };
            Some(Cause { node: *node, kind })
        });
        let causes = causes.collect();
        let got = self.committed_owners() as u8;
        Error::new(kind, message).with_quorum(QuorumShortfall { needed: self.needed as u8, got, causes })
    }
}
