use crate::ids::Incarnation;
use crate::machine::Event;
use crate::replica::{Applied, Minted, Mutation, apply};
use crate::storage::{Batch, Change, CommitError, Storage};
use crate::testing::simulation::fabric::Fabric;
use crate::testing::simulation::happening::{Happening, NodeEvent, Ticket};
use crate::testing::simulation::node::SimulatedNode;
use crate::wire::AnswerBody;

/// The one writer of a node's store: what waits for it, and the batch that is being committed.
#[derive(Debug, Default)]
pub(super) struct Writer {
    queue: Vec<Mutation<Ticket>>,
    is_due: bool,
    committing: Option<(Applied<Ticket>, Incarnation)>,
}

impl Writer {
    /// The batch that a crash catches in the middle of its commit.
    pub(super) fn into_committing(self) -> Option<Batch> {
        self.committing.map(|(applied, _)| applied.batch)
    }
}

impl SimulatedNode {
    pub(super) fn queue_mutation(&mut self, mutation: Mutation<Ticket>, fabric: &mut Fabric) {
        if let Some(process) = &mut self.process {
            process.writer.queue.push(mutation);
            self.wake_writer(fabric);
        }
    }

    fn wake_writer(&mut self, fabric: &mut Fabric) {
        let Some(process) = &mut self.process else { return };
        let writer = &mut process.writer;
        if writer.is_due || writer.committing.is_some() || writer.queue.is_empty() {
            return;
        }
        writer.is_due = true;
        let delay_us = fabric.random.below(200);
        let event = NodeEvent::WriterBegins { life: self.life };
        fabric.plan_in(delay_us, Happening::Node(self.index, event));
    }

    /// Takes what is queued, merges it, tells the machine what was made, and begins the commit.
    pub(super) fn begin_batch(&mut self, fabric: &mut Fabric) {
        if self.step(fabric) {
            return;
        }
        let now = self.now(fabric);
        let Some(process) = &mut self.process else { return };
        process.writer.is_due = false;
        if process.ledger.minter.incarnation().is_none() {
            let fresh = Incarnation(fabric.random.bits() | 1);
            match process.ledger.minter.revive(&*self.disk, fresh) {
                Ok(()) => {
                    process.incarnation = fresh;
                    self.last_incarnation = Some(fresh);
                    self.incarnations += 1;
                }
                Err(error) if error.kind() == crate::error::ErrorKind::CommitUnknown => {
                    return self.stop(fabric);
                }
                Err(_) => {}
            }
        }
        process.ledger.space.note(self.disk.bytes_free(), &self.view.limits);
        let most = self.view.limits.commit_batch_max.min(process.writer.queue.len());
        let mutations: Vec<_> = process.writer.queue.drain(..most).collect();
        let mut applied = apply(&*self.disk, &self.view, &mut process.ledger, now, mutations);
        let minted = std::mem::take(&mut applied.minted);
        let commit_us = if applied.batch.is_empty() {
            1
        } else {
            fabric.random.between(100, fabric.plan.rates.commit_us_max)
        };
        if fabric.flips_after_write == Some(self.index)
            && let Some(key) = minted_key(&minted, &applied.batch)
        {
            fabric.flips_after_write = None;
            let delay_us = commit_us + fabric.random.below(2_000);
            fabric.plan_in(delay_us, Happening::Flip(self.index, key));
        }
        process.writer.committing = Some((applied, process.incarnation));
        let event = NodeEvent::CommitEnds { life: self.life };
        fabric.plan_in(commit_us, Happening::Node(self.index, event));
        if !minted.is_empty() {
            self.run(Event::Minted(minted), fabric);
        }
    }

    /// The commit has ended, in one of three ways.
    pub(super) fn end_commit(&mut self, fabric: &mut Fabric) {
        if self.step(fabric) {
            return;
        }
        let Some(process) = &mut self.process else { return };
        let Some((applied, incarnation)) = process.writer.committing.take() else { return };
        let result = if applied.batch.is_empty() {
            Ok(())
        } else {
            self.disk.write(&applied.batch, applied.durability)
        };
        fabric.trace.add(result.is_err().into());
        let stops = matches!(result, Err(CommitError::Unknown(_)));
        if stops && fabric.random.coin() {
            return self.stop(fabric);
        }
        let achieved = applied.achieved;
        let finished = applied.finish(&result, &mut process.ledger);
        for (ticket, clear) in finished.promises {
            self.answer(ticket, AnswerBody::Cleared(clear), fabric);
        }
        if !finished.refused.is_empty() {
            self.run(Event::Refused(finished.refused), fabric);
        }
        if finished.has_work || finished.recovers {
            let turned = Event::Turned { has_work: finished.has_work, recovers: finished.recovers };
            self.run(turned, fabric);
        }
        for (ticket, counts) in finished.counts {
            self.answer(ticket, AnswerBody::Counted(counts), fabric);
        }
        for (ticket, answers) in finished.replies {
            if self.step(fabric) {
                return;
            }
            self.answer(ticket, AnswerBody::Write(answers), fabric);
        }
        if !finished.ops.is_empty() {
            self.run(Event::Committed(finished.ops, incarnation, result.map(|()| achieved)), fabric);
        }
        if stops {
            return self.stop(fabric);
        }
        self.wake_writer(fabric);
    }

    /// Nobody knows what is stored: the node stops, reads included, and is started again later.
    fn stop(&mut self, fabric: &mut Fabric) {
        let down_us = fabric.random.between(2_000, 60_000);
        self.crash(fabric, down_us);
    }
}

/// The first key of a batch in which something was made.
fn minted_key(minted: &[Minted], batch: &Batch) -> Option<Vec<u8>> {
    minted.iter().find(|minted| minted.result.is_ok())?;
    batch.changes().find_map(|change| match change {
        Change::Put { key, .. } => Some(key.to_vec()),
        _ => None,
    })
}
