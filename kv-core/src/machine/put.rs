mod handing;
mod reading;

use smallvec::SmallVec;

use crate::causality::{Context, ContextToken, Dot};
use crate::command::{Attempt, Decision, Explain, PutApplied, PutResult, WriteOptions};
use crate::error::{Error, ErrorKind};
use crate::ids::{Incarnation, NodeId};
use crate::machine::draft::Inherits;
use crate::machine::outbox::Outbox;
use crate::machine::prepare::Basis;
use crate::machine::read_quorum::ReadQuorum;
use crate::machine::step::{DOUBTFUL, GONE, Step};
use crate::machine::write_quorum::{Progress, WriteQuorum};
use crate::machine::{Effect, PreparedPut, Target};
use crate::mutants::{self, Mutant};
use crate::record::{Draft, EncodedRecord, Provenance};
use crate::replica::{FoundRecord, Mint, MintedRecord, Mutation};
use crate::storage::Durability;
use crate::transport::CallError;
use crate::tree::LeafId;
use crate::view::View;
use crate::wire::{Standing, WriteAnswer, WriteItem};

/// Coordinates one put or delete: reads what an overwrite replaces, has the version made by this node's writer (or by another owner), sends
/// the merged record to the other owners, and counts acknowledgements.
#[derive(Debug)]
pub(super) struct PutWork {
    pub(super) target: Target,
    draft: Draft,
    inherits: Inherits,
    /// Set while an earlier try of this put is looked for.
    retry: Option<Box<Retry>>,
    options: WriteOptions,
    phase: Phase,
    context: Context,
    written: Option<(Dot, ContextToken)>,
    /// What is sent, once it is made.
    record: Option<(EncodedRecord, Provenance)>,
    quorum: WriteQuorum,
    /// Answers of stand-ins that counted in the read of an overwrite.
    stand_ins_read: u8,
    deadline_us: u64,
    is_forwarded: bool,
    /// Why this node's own store does not take it.
    refused: Option<Box<Error>>,
}

/// An earlier try that may have been made.
#[derive(Debug, Default)]
struct Retry {
    /// The context that was given, for the case that it was not.
    given: Option<Context>,
    /// It, and the record that has it.
    found: Option<FoundRecord>,
    /// The answers in which it is looked for.
    answers: Option<Box<ReadQuorum>>,
}

#[derive(Debug)]
enum Phase {
    /// Reads what is overwritten.
    Reading(Box<ReadQuorum>),
    /// Merges what was read.
    Resolving,
    /// Waits for the writer, which makes a version or, for one that was found to be made, merges it.
    Minting {
        adopts: bool,
    },
    /// Waits for acknowledgements.
    Writing,
    /// Waits for the owner to which the put was handed; the causes of those that did not take it.
    Forwarding {
        candidates: SmallVec<[NodeId; 4]>,
        next: usize,
        introduced: bool,
    },
    Done,
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
        let reading = |needed| Phase::Reading(Box::new(ReadQuorum::new(needed, owners)));
        let (phase, given, context) = match put.basis {
            Basis::Read(needed) if mutants::on(Mutant::OverwriteReadsOneReplica) => {
                (reading(needed.min(1)), None, Context::default())
            }
            Basis::Read(needed) => (reading(needed), None, Context::default()),
            Basis::Sought(needed, context) => (reading(needed), Some(context), Context::default()),
            Basis::Given(context) => (Phase::Minting { adopts: false }, None, context),
        };
        PutWork {
            target: put.target,
            draft: put.draft,
            inherits: put.inherits,
            retry: matches!(put.options.attempt, Attempt::Again(_))
                .then(|| Box::new(Retry { given, ..Retry::default() })),
            options: put.options,
            phase,
            context,
            written: None,
            record: None,
            quorum: WriteQuorum::new(if mutants::on(Mutant::ForgetsW) { 1 } else { put.needed }, owners),
            stand_ins_read: 0,
            deadline_us: put.deadline_us,
            is_forwarded: put.is_forwarded,
            refused: None,
        }
    }

    pub(super) fn begin<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        if let Phase::Reading(quorum) = &mut self.phase {
            step.begin_read(&self.target, quorum, outbox);
            return PutStep::Wait;
        }
        self.make(step, outbox)
    }

    fn make<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        match step.local(&self.target) {
            Some(_) => self.mint(step, None, outbox),
            // Somebody could not reach any owner: this node stands in for the first of those that it cannot reach itself.
            None if self.is_forwarded => self.mint_as_stand_in(step, outbox),
            None => self.hand_over(step, outbox),
        }
    }

    fn mint_as_stand_in<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let doubtful = |owner: &NodeId| outbox.rank(Some(owner)) >= DOUBTFUL;
        let absent = self.target.owners.iter().position(doubtful).unwrap_or(0);
        self.quorum.add_stand_in(step.view.node(), absent as u8);
        let owner = self.target.owners.get(absent).copied();
        self.mint(step, owner, outbox)
    }

    fn mint<T>(
        &mut self,
        step: Step<'_>,
        stand_in_for: Option<NodeId>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let found = self.retry.take().and_then(|retry| retry.found).map(Box::new);
        self.phase = Phase::Minting { adopts: found.is_some() };
        outbox.effect(Effect::Mutate(Mutation::Mint(Box::new(Mint {
            op: step.op,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            token: self.target.token,
            context: self.context.clone(),
            draft: self.draft.clone(),
            found,
            stand_in_for,
            deadline_us: step.deadline_us,
        }))));
        PutStep::Wait
    }

    /// The writer made the version, or refused to.
    pub(super) fn minted<T>(
        &mut self,
        step: Step<'_>,
        result: Result<MintedRecord, Error>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let Phase::Minting { adopts } = self.phase else { return PutStep::Wait };
        let MintedRecord { dot, stamp, record, read } = match result {
            Ok(made) => made,
            Err(error) if error.kind() == ErrorKind::ReadOnly && !adopts && !self.is_forwarded => {
                return self.hand_on(step, error, outbox);
            }
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
        self.record = Some((record, read));
        self.phase = Phase::Writing;
        self.send(step, outbox)
    }

    /// Sends the record to the other owners, and to nodes that stand in for those that cannot be reached.
    fn send<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let Some(record) = self.record.clone() else { return PutStep::Wait };
        for (index, owner) in self.target.owners.iter().enumerate() {
            if *owner == step.view.node() {
                continue;
            }
            if self.target.is_sloppy && outbox.rank(Some(owner)) >= GONE {
                self.quorum.note(index as u8, Progress::Failed(ErrorKind::NodeDown));
            } else {
                let item = write_item(&self.target, &record, None);
                outbox.write(*owner, step.op, index as u8, item, step.timeout_us());
            }
        }
        self.stand_in_for_doubtful(step, outbox);
        if mutants::on(Mutant::AcknowledgesBeforeCommit)
            && let Some(local) = step.local(&self.target)
        {
            return self.acknowledge(
                step,
                local,
                Progress::Committed(Incarnation(0), Durability::Synced),
                outbox,
            );
        }
        if self.quorum.is_hopeless() { self.hopeless() } else { PutStep::Wait }
    }

    /// Has other nodes keep the write for owners that do not, or that probably cannot, take it themselves.
    fn stand_in_for_doubtful<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        let Some(record) = self.record.clone().filter(|_| self.target.is_sloppy) else { return };
        let failed = self.quorum.failed_owners();
        for (place, owner) in self.target.owners.iter().enumerate() {
            let place = place as u8;
            let doubtful = *owner != step.view.node() && outbox.rank(Some(owner)) >= DOUBTFUL;
            if !(doubtful || failed.contains(&place)) || self.quorum.has_stand_in(place) {
                continue;
            }
            let candidates = step.view.stand_ins(&self.target.bucket, self.target.token).iter();
            let is_free = |node: &&NodeId| {
                **node != step.view.node()
                    && self.quorum.stand_in(**node).is_none()
                    && outbox.rank(Some(*node)) < DOUBTFUL
            };
            let Some(node) = candidates.copied().find(|node| is_free(&node)) else { continue };
            let index = self.quorum.add_stand_in(node, place);
            let item = write_item(&self.target, &record, Some(*owner));
            outbox.write(node, step.op, index, item, step.timeout_us());
        }
    }

    /// This node's own commit ended.
    pub(super) fn committed<T>(
        &mut self,
        step: Step<'_>,
        result: Result<(Incarnation, Durability), ErrorKind>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let assumed = mutants::on(Mutant::FailedCommitCountsAsCommit);
        let assumed = assumed.then_some((Incarnation(0), Durability::Synced));
        let result = result.or_else(|kind| assumed.ok_or(kind));
        let progress = match result {
            Ok((incarnation, durability)) => Progress::Committed(incarnation, durability),
            Err(kind) => Progress::Failed(kind),
        };
        let own = step.local(&self.target).or_else(|| self.quorum.stand_in(step.view.node()));
        own.map_or(PutStep::Wait, |own| self.acknowledge(step, own, progress, outbox))
    }

    /// Another node answered, or did not.
    pub(super) fn write_answer<T>(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<(WriteAnswer, Incarnation), &CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        if let Ok((WriteAnswer::Refused(ErrorKind::StaleEpoch), _)) = answer
            && self.quorum.is_stand_in(index)
        {
            // It was not told how far the owners are: it took another's place, and epochs did not have to end since. Now one has to.
            let tree =
                LeafId::of(self.target.bucket.id, self.target.token, step.view.layout.partitioning()).tree;
            outbox.effect(Effect::Heard(tree, Standing { is_wanted: true, ..Standing::default() }));
        }
        let progress = match answer {
            Ok((WriteAnswer::Committed(durability), incarnation)) => {
                Progress::Committed(incarnation, durability)
            }
            Ok((WriteAnswer::Refused(kind), _)) => Progress::Failed(kind),
            Ok((WriteAnswer::Unknown, _)) => Progress::Failed(ErrorKind::CommitUnknown),
            Err(error) => Progress::Failed(error.kind()),
        };
        self.acknowledge(step, index, progress, outbox)
    }

    fn acknowledge<T>(
        &mut self,
        step: Step<'_>,
        index: u8,
        progress: Progress,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        if !matches!(self.phase, Phase::Writing) {
            return PutStep::Wait;
        }
        // Nothing is called applied after its deadline, however late this node comes to it: the healing of damages relies on that.
        if step.now.monotonic_us > self.deadline_us {
            return self.deadline();
        }
        self.quorum.note(index, progress);
        if self.quorum.is_reached() {
            let applied = self.applied(step.view);
            return self.end(PutResult::Applied(applied));
        }
        if matches!(progress, Progress::Failed(_)) {
            self.stand_in_for_doubtful(step, outbox);
        }
        if self.quorum.is_hopeless() { self.hopeless() } else { PutStep::Wait }
    }

    fn hopeless(&mut self) -> PutStep {
        let message = "too few replicas could commit the write: it may appear";
        let error = self.quorum.shortfall(ErrorKind::Unavailable, message, &self.target.owners);
        self.end(PutResult::Indeterminate(error))
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
            Phase::Minting { .. } | Phase::Forwarding { .. } => {
                PutResult::Indeterminate(Error::new(kind, "the deadline passed: the write may appear"))
            }
            Phase::Writing => {
                let message = "the deadline passed before enough replicas committed: the write may appear";
                PutResult::Indeterminate(self.quorum.shortfall(kind, message, &self.target.owners))
            }
            Phase::Done => return PutStep::Wait,
        };
        self.end(result)
    }

    fn end(&mut self, result: PutResult) -> PutStep {
        self.phase = Phase::Done;
        PutStep::End(result)
    }

    fn applied(&mut self, view: &View) -> PutApplied {
        let acks = self.quorum.acks(&self.target.owners);
        let explain = self.options.explain.then(|| Box::new(self.explain(view)));
        let (dot, context) = match self.written.take() {
            Some((dot, context)) => (Some(dot), context),
            None => (None, ContextToken::default()),
        };
        PutApplied { dot, context, acks, stand_ins_read: self.stand_ins_read, explain }
    }

    fn explain(&self, view: &View) -> Explain {
        Explain {
            coordinator: view.node(),
            token: self.target.token,
            partition: view.layout.partitioning().partition(self.target.token),
            layout: view.layout.version(),
            needed: self.quorum.needed() as u8,
            replicas: self.quorum.explain(&self.target.owners),
            decision: Decision::Written,
        }
    }
}

fn write_item(
    target: &Target,
    (record, read): &(EncodedRecord, Provenance),
    stand_in_for: Option<NodeId>,
) -> WriteItem {
    WriteItem {
        bucket: target.bucket.id,
        read: read.clone(),
        key: target.key.clone(),
        record: record.to_bytes(),
        heal: None,
        stand_in_for,
    }
}
