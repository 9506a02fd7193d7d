use smallvec::SmallVec;

use crate::command::{Explain, ExplainedReplica, ExplainedVersion, GetAnswer, ReadRepair, ReplicaState};
use crate::error::{Error, ErrorKind};
use crate::machine::outbox::Outbox;
use crate::machine::read_quorum::{ReadQuorum, Replica};
use crate::machine::step::{Collected, HEALING, Step};
use crate::machine::{Effect, PreparedGet, Resolution, ResolveRequest, Target};
use crate::mutants::{self, Mutant};
use crate::record::{EncodedRecord, Record};
use crate::replica::Merge;
use crate::view::View;
use crate::wire::{Heal, ReadAnswer, WriteItem};

/// Coordinates one get: asks R owners, answers, and brings those up to date that were behind.
#[derive(Debug)]
pub(super) struct GetWork {
    pub(super) target: Target,
    quorum: ReadQuorum,
    explain: bool,
    phase: Phase,
    /// What the answer was made of; kept for the repair.
    resolution: Option<Box<Resolution>>,
    resolved_records: usize,
    /// The damages that were seen before the owners were asked again.
    damages: SmallVec<[Option<u64>; 4]>,
    /// [`HEALING`] once they were asked again.
    round: u8,
    repair: ReadRepair,
    is_partial: bool,
    /// The answer that waits for repairs, and for how many.
    repaired: Option<(Box<GetAnswer>, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for enough answers.
    Collecting,
    /// Enough answers are being merged.
    Resolving,
    /// Waits for those who are brought up to date before the client is answered.
    Acknowledging,
    /// The client was answered; waits for the owners that were asked but have not answered.
    Repairing,
    /// The client was answered and a damage was seen; waits until every put that the damaged owner may have acknowledged has ended.
    Settling,
    /// Waits for what all owners hold now.
    Healing,
    /// All answers are being merged for the repair.
    ResolvingRepair,
    Done,
}

/// What a step of a get comes to.
pub(super) type GetStep = Option<Result<GetAnswer, Error>>;

impl GetWork {
    pub(super) fn new(get: PreparedGet) -> Self {
        let quorum = ReadQuorum::new(get.needed, get.target.owners.len());
        GetWork {
            target: get.target,
            quorum,
            explain: get.explain,
            phase: Phase::Collecting,
            resolution: None,
            resolved_records: 0,
            damages: SmallVec::new(),
            round: 0,
            repair: get.repair,
            is_partial: get.is_partial,
            repaired: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    pub(super) fn begin<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        step.begin_read(&self.target, &mut self.quorum, outbox);
    }

    pub(super) fn answer<T>(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: Result<ReadAnswer, &crate::transport::CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> GetStep {
        // What an owner said before the damage was seen says nothing about what it held then.
        let late = index & HEALING != self.round;
        if late && !mutants::on(Mutant::StaleSourcesHeal) {
            return None;
        }
        let index = index & !HEALING;
        match answer {
            Ok(answer) => self.quorum.answer(index, answer, step.local(&self.target), &self.target),
            Err(error) => self.quorum.fail(index, error),
        }
        self.advance(step, outbox)
    }

    /// Asks one more owner, because those that were asked are slow.
    pub(super) fn hedge<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        if self.phase == Phase::Collecting {
            step.hedge(&self.target, &mut self.quorum, outbox);
        }
    }

    pub(super) fn deadline<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> GetStep {
        match self.phase {
            Phase::Collecting => {
                let message = "the get's deadline passed before enough replicas answered";
                let error = self.quorum.shortfall(ErrorKind::DeadlineExceeded, message, &self.target.owners);
                self.answered(step, outbox);
                if self.phase == Phase::Repairing {
                    self.repair(step, outbox);
                }
                Some(Err(error))
            }
            Phase::Repairing => {
                self.repair(step, outbox);
                None
            }
            Phase::Acknowledging => {
                self.phase = Phase::Done;
                let message = "the get's deadline passed before the replicas that were behind had committed";
                Some(Err(Error::new(ErrorKind::DeadlineExceeded, message)))
            }
            Phase::Resolving => {
                self.phase = Phase::Done;
                let message = "the get's deadline passed while the answers were merged";
                Some(Err(Error::new(ErrorKind::DeadlineExceeded, message)))
            }
            Phase::Settling => {
                self.heal(step, outbox);
                None
            }
            // Every call of the healing ends by itself.
            Phase::Healing | Phase::ResolvingRepair | Phase::Done => None,
        }
    }

    pub(super) fn resolved<T>(
        &mut self,
        step: Step<'_>,
        result: Result<Resolution, Error>,
        outbox: &mut Outbox<'_, T>,
    ) -> GetStep {
        match (self.phase, result) {
            (Phase::Resolving, Ok(mut resolution)) => {
                let answer = GetAnswer {
                    values: std::mem::take(&mut resolution.values),
                    context: std::mem::take(&mut resolution.context),
                    stand_ins: match self.quorum.stand_in_votes() {
                        _ if mutants::on(Mutant::StandInsPassForOwners) => 0,
                        votes => votes as u8,
                    },
                    explain: self.explain.then(|| Box::new(self.explain(step.view, &resolution))),
                };
                if self.repair == ReadRepair::Foreground {
                    return self.repair_first(step, answer, resolution, outbox);
                }
                self.resolution = Some(Box::new(resolution));
                self.answered(step, outbox);
                Some(Ok(answer))
            }
            (Phase::Resolving, Err(error)) => {
                self.phase = Phase::Done;
                Some(Err(error))
            }
            (Phase::ResolvingRepair, Ok(resolution)) => {
                self.send_repairs(step, &resolution, outbox);
                None
            }
            _ => {
                self.phase = Phase::Done;
                None
            }
        }
    }

    fn advance<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> GetStep {
        match self.phase {
            Phase::Collecting => match step.collect(&self.target, &mut self.quorum, outbox) {
                Collected::Waiting => None,
                Collected::Enough => {
                    self.phase = Phase::Resolving;
                    self.resolve(step, outbox);
                    None
                }
                Collected::Hopeless => {
                    let message = "too few replicas can answer the get";
                    let error = self.quorum.shortfall(ErrorKind::Unavailable, message, &self.target.owners);
                    self.answered(step, outbox);
                    Some(Err(error))
                }
            },
            Phase::Repairing | Phase::Healing if self.quorum.waiting() == 0 => {
                self.repair(step, outbox);
                None
            }
            _ => None,
        }
    }

    fn resolve<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        let mut records = self.quorum.records();
        self.resolved_records = records.len();
        if records.is_empty() {
            records.push(empty(&self.target));
        }
        outbox.effect(Effect::Resolve(Box::new(ResolveRequest {
            op: step.op,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            records,
            secret: *step.view.secret(),
            wall_ms: step.now.wall_ms,
        })));
    }

    /// Brings those up to date that are behind, and lets the client wait for it.
    fn repair_first<T>(
        &mut self,
        step: Step<'_>,
        answer: GetAnswer,
        resolution: Resolution,
        outbox: &mut Outbox<'_, T>,
    ) -> GetStep {
        let read = self.quorum.provenance(&resolution.record);
        let mut waits = 0;
        for (index, (owner, replica)) in self.target.owners.iter().zip(&self.quorum.replicas).enumerate() {
            let is_sound = matches!(replica, Replica::Absent | Replica::Record(_));
            if is_sound && is_behind(replica, &resolution.encoded, &resolution.record) {
                let (owner, index) = (*owner, index as u8);
                let what = (resolution.encoded.clone(), read.clone());
                step.write_repair(&self.target, (owner, index), what, outbox);
                waits += 1;
            }
        }
        self.resolution = Some(Box::new(resolution));
        if waits == 0 {
            self.answered(step, outbox);
            return Some(Ok(answer));
        }
        self.phase = Phase::Acknowledging;
        self.repaired = Some((Box::new(answer), waits));
        None
    }

    /// A replica that was behind has committed, or has not.
    pub(super) fn acknowledged<T>(
        &mut self,
        step: Step<'_>,
        result: Result<(), ErrorKind>,
        outbox: &mut Outbox<'_, T>,
    ) -> GetStep {
        if self.phase != Phase::Acknowledging {
            return None;
        }
        if let Err(kind) = result {
            self.phase = Phase::Done;
            return Some(Err(Error::new(kind, "a replica that is behind could not be brought up to date")));
        }
        let (answer, waits) = self.repaired.take()?;
        if waits > 1 {
            self.repaired = Some((answer, waits - 1));
            return None;
        }
        self.answered(step, outbox);
        Some(Ok(*answer))
    }

    /// The client has its answer. What was damaged is healed from every other owner.
    fn answered<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        if self.is_partial {
            self.phase = Phase::Done;
            return;
        }
        if self.quorum.has_damage() {
            self.damages = self.quorum.damages();
            outbox.saw_damage(self.damages.iter().flatten().count());
            self.round = HEALING;
            self.resolution = None;
            self.phase = Phase::Settling;
            if mutants::on(Mutant::StaleSourcesHeal) || mutants::on(Mutant::HealsAtOnce) {
                self.heal(step, outbox);
            }
            return;
        }
        self.phase = Phase::Repairing;
        if self.quorum.waiting() == 0 {
            self.repair(step, outbox);
        }
    }

    /// Whether a damage waits to be healed, some time after the client was answered.
    pub(super) fn is_settling(&self) -> bool {
        self.phase == Phase::Settling
    }

    /// Asks every owner anew. A put that the damaged owner acknowledged before it was damaged has ended by now, so that it is either
    /// held by enough others or was never called applied.
    fn heal<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        self.phase = Phase::Healing;
        if !mutants::on(Mutant::StaleSourcesHeal) {
            self.quorum = ReadQuorum::new(self.target.owners.len(), self.target.owners.len());
        }
        step.read_to_heal(&self.target, &mut self.quorum, outbox);
    }

    fn repair<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        let records = self.quorum.records();
        let same = self.resolved_records == records.len();
        match self.resolution.take() {
            // Later answers brought nothing new: what was answered is what is sent.
            Some(resolution) if same && !records.is_empty() => self.send_repairs(step, &resolution, outbox),
            _ if records.is_empty() && !self.quorum.has_damage() => self.phase = Phase::Done,
            _ => {
                self.phase = Phase::ResolvingRepair;
                self.resolve(step, outbox);
            }
        }
    }

    fn send_repairs<T>(&mut self, step: Step<'_>, resolution: &Resolution, outbox: &mut Outbox<'_, T>) {
        self.phase = Phase::Done;
        let read = self.quorum.provenance(&resolution.record);
        let sources = self.quorum.sources(&self.target.owners);
        for (index, (owner, replica)) in self.target.owners.iter().zip(&self.quorum.replicas).enumerate() {
            let damage = self.damages.get(index).copied().flatten();
            let heal = damage.map(|damage| Heal { damage, sources: sources.clone() });
            let behind = is_behind(replica, &resolution.encoded, &resolution.record);
            if !behind || mutants::on(Mutant::RepairsAreNotSent) {
                continue;
            }
            if *owner == step.view.node() {
                let merge = Merge {
                    bucket: self.target.bucket.clone(),
                    key: self.target.key.clone(),
                    token: self.target.token,
                    record: resolution.encoded.clone(),
                    read: read.clone(),
                    heal,
                    stand_in_for: None,
                };
                outbox.repair_local(merge);
            } else {
                let item = WriteItem {
                    bucket: self.target.bucket.id,
                    read: read.clone(),
                    key: self.target.key.clone(),
                    record: resolution.encoded.to_bytes(),
                    heal,
                    stand_in_for: None,
                };
                let record = (item, resolution.encoded.digest());
                outbox.repair(*owner, step.op, record, step.heal_timeout_us());
            }
        }
    }

    fn explain(&self, view: &View, resolution: &Resolution) -> Explain {
        let owners = &self.target.owners;
        let nodes = owners.iter().chain(self.quorum.stand_ins()).zip(&self.quorum.replicas).enumerate();
        let replicas = nodes.map(|(place, (node, replica))| {
            let is_owner = place < owners.len();
            let repaired = is_owner && is_behind(replica, &resolution.encoded, &resolution.record);
            let (state, record) = match replica {
                Replica::NotAsked => (ReplicaState::NotAsked, None),
                Replica::Waiting => (ReplicaState::Waiting, None),
                Replica::Absent => (ReplicaState::Answered, None),
                Replica::Record(record) => (ReplicaState::Answered, Some(record)),
                Replica::Recovering(_, record) => (ReplicaState::Recovering, Some(record)),
                Replica::Damaged(_) => (ReplicaState::Failed(ErrorKind::Damaged), None),
                Replica::Failed(kind) => (ReplicaState::Failed(*kind), None),
            };
            let versions = record.and_then(|record| record.decode().ok()).unwrap_or_default();
            let won = |version: &crate::record::Version| {
                resolution.record.versions().iter().any(|kept| kept.dot == version.dot)
            };
            let versions = versions.versions().iter().map(|version| ExplainedVersion {
                dot: version.dot,
                stamp: version.stamp,
                value_bytes: version.value.as_ref().map(bytes::Bytes::len),
                expires_at_ms: version.expires_at_ms(),
                won: won(version),
            });
            ExplainedReplica { node: *node, is_owner, state, versions: versions.collect(), repaired }
        });
        Explain {
            coordinator: view.node(),
            token: self.target.token,
            partition: view.layout.partitioning().partition(self.target.token),
            layout: view.layout.version(),
            needed: self.quorum.needed as u8,
            replicas: replicas.collect(),
            decision: resolution.decision.clone(),
        }
    }
}

/// Whether an owner that answered so lacks something of the merged record.
fn is_behind(replica: &Replica, merged: &EncodedRecord, record: &Record) -> bool {
    match replica {
        Replica::Absent => !record.is_empty(),
        Replica::Record(theirs) if theirs == merged => mutants::on(Mutant::RepairsConvergedReplicas),
        // Pasts go in each replica's own time.
        Replica::Record(theirs) => {
            let names = record.versions().iter().map(|version| version.dot);
            theirs.dots().map_or(true, |dots| !names.eq(dots))
        }
        Replica::Recovering(..) | Replica::Damaged(_) => true,
        Replica::NotAsked | Replica::Waiting | Replica::Failed(_) => false,
    }
}

/// The record of a key that no owner has: what a damaged owner is healed with when the others have nothing.
fn empty(target: &Target) -> EncodedRecord {
    EncodedRecord::encode(&Record::new(), target.bucket.id, &target.key)
}
