//! A put that is handed to an owner, or to a node that stands in for one.

use crate::causality::ContextToken;
use crate::command::{Attempt, PutApplied, PutResult, WriteOptions};
use crate::error::{Error, ErrorKind};
use crate::machine::outbox::Outbox;
use crate::machine::put::{Phase, PutStep, PutWork};
use crate::machine::step::Step;
use crate::machine::write_quorum::Progress;
use crate::record::Draft;
use crate::transport::CallError;
use crate::wire::ForwardAnswer;

impl PutWork {
    /// Hands the put to an owner, or to a node that stands in for one.
    pub(super) fn hand_over<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let mut candidates = step.coordinators(&self.target, outbox);
        if self.refused.is_some() {
            candidates.retain(|node| *node != step.view.node());
        }
        self.phase = Phase::Forwarding { candidates, next: 0, introduced: false };
        self.next_forward(step, outbox)
    }

    /// This node's store takes no writes, and its reads are as good as ever: if it is an owner, another makes the version.
    pub(super) fn hand_on<T>(
        &mut self,
        step: Step<'_>,
        refused: Error,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let Some(own) = step.local(&self.target) else { return self.end(PutResult::NotApplied(refused)) };
        self.quorum.note(own, Progress::Failed(refused.kind()));
        // Without this owner nobody could reach the quorum: better that nothing is written.
        if self.quorum.is_hopeless() && !self.target.is_sloppy {
            return self.end(PutResult::NotApplied(refused));
        }
        self.refused = Some(Box::new(refused));
        self.hand_over(step, outbox)
    }

    /// What the owner to which the put was handed is told.
    pub(in crate::machine) fn forward_body(&self, step: Step<'_>) -> (Draft, ContextToken, WriteOptions) {
        let context = self.context.seal(step.view.secret(), self.target.bucket.id, &self.target.key);
        // The draft has the id.
        let mut options = WriteOptions { attempt: Attempt::Only, ..self.options.clone() };
        options.timeout_ms = Some((step.timeout_us() / 1_000).clamp(1, u64::from(u32::MAX)) as u32);
        (self.draft.clone(), context, options)
    }

    /// The owner to which the put was handed answered, or did not.
    pub(in crate::machine) fn forward_answer<T>(
        &mut self,
        step: Step<'_>,
        answer: Result<ForwardAnswer, CallError>,
        outbox: &mut Outbox<'_, T>,
    ) -> PutStep {
        let Phase::Forwarding { candidates, next, introduced } = &mut self.phase else {
            return PutStep::Wait;
        };
        let cause = match answer {
            Ok(ForwardAnswer { result: PutResult::NotApplied(error) }) if error.is_retryable() => {
                // A peer that is new to this node has just said which life it lives.
                if error.kind() == ErrorKind::StaleIncarnation && !*introduced {
                    *introduced = true;
                    return self.next_forward(step, outbox);
                }
                error.kind()
            }
            Ok(ForwardAnswer { result: PutResult::Applied(applied) }) => {
                // What it overwrites was read here.
                let stand_ins_read = self.stand_ins_read;
                return self.end(PutResult::Applied(PutApplied { stand_ins_read, ..applied }));
            }
            Ok(ForwardAnswer { result }) => return self.end(result),
            // A peer that is new to this node, or began a new life, refuses and has just said which.
            Err(CallError::NotSent(ErrorKind::StaleIncarnation, _)) if !*introduced => {
                *introduced = true;
                return self.next_forward(step, outbox);
            }
            Err(CallError::NotSent(kind, _)) => kind,
            Err(CallError::NoAnswer(kind, message)) => {
                let message =
                    format!("the owner that the put was handed to did not answer ({message}): it may appear");
                return self.end(PutResult::Indeterminate(Error::new(kind, message)));
            }
        };
        let tried = candidates.get(*next);
        if let Some(place) = self.target.owners.iter().position(|owner| Some(owner) == tried) {
            self.quorum.note(place as u8, Progress::Failed(cause));
        }
        *next += 1;
        *introduced = false;
        self.next_forward(step, outbox)
    }

    pub(super) fn next_forward<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> PutStep {
        let Phase::Forwarding { candidates, next, .. } = &self.phase else { return PutStep::Wait };
        match candidates.get(*next) {
            Some(node) if *node == step.view.node() => self.mint_as_stand_in(step, outbox),
            Some(node) => PutStep::Forward(*node),
            None => {
                let message = "no owner of the key could take the put: nothing was written";
                let error = match self.refused.take() {
                    Some(own) => self.quorum.shortfall(own.kind(), own.message(), &self.target.owners),
                    None => self.quorum.shortfall(ErrorKind::Unavailable, message, &self.target.owners),
                };
                self.end(PutResult::NotApplied(error))
            }
        }
    }
}
