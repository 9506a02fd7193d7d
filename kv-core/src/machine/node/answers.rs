use crate::command::PutResult;
use crate::error::ErrorKind;
use crate::ids::Incarnation;
use crate::machine::node::NodeMachine;
use crate::machine::operation::Next;
use crate::machine::outbox::Outbox;
use crate::machine::{CallToken, PeerAnswer};
use crate::mutants::{self, Mutant};
use crate::time::Now;
use crate::transport::CallError;
use crate::view::View;
use crate::wire::{AnswerBody, ForwardAnswer, RangeAnswer, ReadAnswer};

impl<T> NodeMachine<T> {
    /// Gives a peer's answer to the operations that wait for it.
    pub(super) fn answer(
        &mut self,
        at: (&View, Now),
        token: CallToken,
        result: Result<PeerAnswer, CallError>,
        outbox: &mut Outbox<'_, T>,
    ) {
        let result = result.and_then(|answer| match answer.body {
            AnswerBody::Refused(error) => Err(CallError::NotSent(error.kind(), error.message().into())),
            body => Ok((body, answer.incarnation)),
        });
        match (token, result) {
            (CallToken::Read(parts), Ok((AnswerBody::Read(answers), _))) if parts.len() == answers.len() => {
                let alone = parts.len() == 1;
                for ((op, index), answer) in parts.into_iter().zip(answers) {
                    self.with(at, op, outbox, |operation, step, outbox| {
                        // One answer with all records would have been too large: ask for this record alone.
                        if !alone && answer == ReadAnswer::Refused(ErrorKind::FrameTooLarge) {
                            if let Some(target) = operation.target() {
                                step.read_alone(target, index, outbox);
                            }
                            return Next::Wait;
                        }
                        operation.read_answer(step, index, Ok(answer), outbox)
                    });
                }
            }
            (CallToken::Read(parts), result) => {
                let error = unexpected(result);
                for (op, index) in parts {
                    self.with(at, op, outbox, |operation, step, outbox| {
                        operation.read_answer(step, index, Err(&error), outbox)
                    });
                }
            }
            (CallToken::Write(parts), Ok((AnswerBody::Write(answers), incarnation)))
                if parts.len() == answers.len() =>
            {
                for ((op, index), answer) in parts.into_iter().zip(answers) {
                    self.with(at, op, outbox, |operation, step, outbox| {
                        operation.write_answer(step, index, Ok((answer, incarnation)), outbox)
                    });
                }
            }
            (CallToken::Write(parts), result) => {
                let error = unexpected(result);
                for (op, index) in parts {
                    self.with(at, op, outbox, |operation, step, outbox| {
                        operation.write_answer(step, index, Err(&error), outbox)
                    });
                }
            }
            (CallToken::Forward(op, id), result) => {
                // Only the answer to the latest hand-over counts.
                let named = match self.forwarding.remove(&id) {
                    Some((of, named)) if of == op => named,
                    _ => return,
                };
                let answer = match result {
                    // Another copy of the request may have been run in the life that it was meant for. In no life at all it cannot have been.
                    Ok((AnswerBody::Forward(answer), _))
                        if is_stale(&answer)
                            && named != Incarnation(0)
                            && !mutants::on(Mutant::StaleForwardIsTriedAgain) =>
                    {
                        let message = "it has begun a new life since".into();
                        Err(CallError::NoAnswer(ErrorKind::StaleIncarnation, message))
                    }
                    Ok((AnswerBody::Forward(answer), _)) => Ok(answer),
                    result => Err(unexpected(result)),
                };
                self.with_put(at, op, outbox, |put, step, outbox| put.forward_answer(step, answer, outbox));
            }
            (CallToken::Range(op, index), result) => {
                let answer = match result {
                    Ok((AnswerBody::Range(answer), _)) => answer,
                    result => RangeAnswer::Refused(unexpected(result).kind()),
                };
                self.with_scan(at, op, outbox, |scan, step, outbox| scan.answer(step, index, answer, outbox));
            }
            (CallToken::Delivery(number), result) => {
                self.delivery.answer(at, number, result.map(|(body, _)| body), outbox);
            }
            (CallToken::AntiEntropy(step), result) => {
                let result = result.map(|(body, _)| body);
                let gets = self.anti_entropy.answer(at, (step, result), outbox);
                self.get_to_repair(at, gets, outbox);
            }
            (CallToken::Repair(call), _) => outbox.repairs_ended(call),
            (CallToken::Gossip, _) => {}
        }
    }
}

/// Whether an owner refused a put because it was meant for another life of it.
fn is_stale(answer: &ForwardAnswer) -> bool {
    matches!(&answer.result, PutResult::NotApplied(error) if error.kind() == ErrorKind::StaleIncarnation)
}

/// The failure that an answer of the wrong shape, or none, comes to. The request may have been carried out.
fn unexpected(result: Result<(AnswerBody, Incarnation), CallError>) -> CallError {
    match result {
        Ok(_) => CallError::NoAnswer(ErrorKind::InvalidFrame, "the peer answered something else".into()),
        Err(error) => error,
    }
}
