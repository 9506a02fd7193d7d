//! The read inside a put: what an overwrite replaces, what a change of an expiry keeps, and whether a put that is tried again was made.

use crate::causality::{Context, Dot};
use crate::command::{PutApplied, PutResult};
use crate::error::{Error, ErrorKind};
use crate::machine::outbox::Outbox;
use crate::machine::put::{Phase, PutStep, PutWork, Retry};
use crate::machine::step::{Collected, Step};
use crate::machine::{Effect, Resolution, ResolveRequest};
use crate::mutants::{self, Mutant};
use crate::record::Record;
use crate::replica::FoundRecord;
use crate::transport::CallError;
use crate::wire::ReadAnswer;

impl PutWork {
    pub(in crate::machine) fn read_answer<T>(
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
        match step.collect(&self.target, quorum, outbox) {
            Collected::Waiting => PutStep::Wait,
            Collected::Enough => self.resolve(step, outbox),
            Collected::Hopeless => {
                let message = "too few replicas can say what the overwrite replaces: nothing was written";
                let error = quorum.shortfall(ErrorKind::Unavailable, message, &self.target.owners);
                self.end(PutResult::NotApplied(error))
            }
        }
    }

    fn resolve<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let Phase::Reading(quorum) = &self.phase else { return PutStep::Wait };
        let records = quorum.records();
        self.stand_ins_read = quorum.stand_in_votes() as u8;
        let reading = std::mem::replace(&mut self.phase, Phase::Resolving);
        if let (Some(retry), Phase::Reading(quorum)) = (&mut self.retry, reading) {
            retry.answers = Some(quorum);
        }
        if records.is_empty() {
            return self.replace(step, &Record::new(), outbox);
        }
        outbox.effect(Effect::Resolve(Box::new(ResolveRequest {
            op: step.op,
            bucket: self.target.bucket.clone(),
            key: self.target.key.clone(),
            records,
            secret: *step.view.secret(),
            wall_ms: step.now.wall_ms,
        })));
        PutStep::Wait
    }

    pub(in crate::machine) fn resolved<T>(
        &mut self,
        step: Step<'_>,
        result: Result<Resolution, Error>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        match (&self.phase, result) {
            (Phase::Resolving, Ok(Resolution { record, encoded, .. })) => match self.made_before(&record) {
                Some((dot, seen)) => {
                    let answers = self.retry.as_mut().and_then(|retry| retry.answers.take());
                    let read = answers.map(|answers| answers.provenance(&record)).unwrap_or_default();
                    self.adopt(step, seen, FoundRecord { dot, record: encoded, read }, outbox)
                }
                None => self.replace(step, &record, outbox),
            },
            (Phase::Resolving, Err(error)) => self.end(PutResult::NotApplied(error)),
            _ => PutStep::Wait,
        }
    }

    /// The write under which an earlier try of this put is there.
    fn made_before(&self, record: &Record) -> Option<(Dot, Context)> {
        let sought = self.retry.is_some() && !mutants::on(Mutant::RetryWritesAgain);
        self.draft.id.filter(|_| sought).and_then(|id| record.written_as(id))
    }

    /// An earlier try is there: what was found is stored as often as this put asks for, and nothing is made.
    fn adopt<T>(
        &mut self,
        step: Step<'_>,
        seen: Context,
        found: FoundRecord,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        if step.local(&self.target).is_some() {
            self.context = seen;
            self.retry = Some(Box::new(Retry { found: Some(found), ..Retry::default() }));
            return self.mint(step, None, outbox);
        }
        let sealed = seen.seal(step.view.secret(), self.target.bucket.id, &self.target.key);
        self.written = Some((found.dot, sealed));
        self.record = Some((found.record, found.read));
        self.phase = Phase::Writing;
        self.send(step, outbox)
    }

    /// The read found `record`.
    fn replace<T>(&mut self, step: Step<'_>, record: &Record, outbox: &mut Outbox<'_, T>) -> PutStep {
        if let Some(given) = self.retry.take().and_then(|retry| retry.given) {
            self.context = given;
            return self.make(step, outbox);
        }
        match self.inherits.fill(&mut self.draft, record, step.now.wall_ms) {
            Ok(Some(context)) => {
                self.context = context;
                self.make(step, outbox)
            }
            Ok(None) => {
                // There is nothing to delete, or to let expire. A write that is still on its way is concurrent with this and stays.
                let context = record.context();
                let context = context.seal(step.view.secret(), self.target.bucket.id, &self.target.key);
                let stand_ins_read = self.stand_ins_read;
                let applied =
                    PutApplied { dot: None, context, acks: Vec::new(), stand_ins_read, explain: None };
                self.end(PutResult::Applied(applied))
            }
            Err(error) => self.end(PutResult::NotApplied(error)),
        }
    }
}
