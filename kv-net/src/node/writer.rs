use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use kv_core::error::{Error, ErrorKind};
use kv_core::ids::Incarnation;
use kv_core::machine::Event;
use kv_core::replica::{Ledger, Mutation, apply};
use kv_core::storage::{CommitError, Durability};
use kv_core::wire::AnswerBody;

use crate::node::live::Live;
use crate::node::shared::Shared;
use crate::node::ticket::Ticket;

/// The one writer of a node's store: takes what has gathered in the queue, merges it, hands it to the transport, commits it and answers.
/// While it commits, the next batch gathers; there is no timer.
#[derive(Debug)]
pub(super) enum Writer {
    /// For a store that may wait for its device: a thread of its own.
    Thread(std::thread::JoinHandle<()>),
    /// For a store that does not: a task, which runs when the others have put in what they have, and wakes nobody.
    Task(tokio::task::JoinHandle<()>),
}

impl Writer {
    pub(super) fn spawn(shared: Arc<Shared>, mut ledger: Ledger) -> std::io::Result<Self> {
        let keys_max = shared.config.limits.commit_batch_max;
        if !shared.config.store.capabilities().writes_may_block {
            let runtime = shared.runtime.clone();
            return Ok(Writer::Task(runtime.spawn(async move {
                while turn(&shared, &mut ledger, shared.queue.take_async(keys_max).await) {
                    // A queue that is never empty must not keep the other tasks of the runtime waiting.
                    tokio::task::yield_now().await;
                }
            })));
        }
        let thread = std::thread::Builder::new().name("kv-writer".into());
        let run = move || while turn(&shared, &mut ledger, shared.queue.take(keys_max)) {};
        Ok(Writer::Thread(thread.spawn(run)?))
    }

    /// Waits for the end of a writer whose queue was closed.
    pub(super) async fn join(self) {
        match self {
            Writer::Thread(thread) => drop(tokio::task::spawn_blocking(move || thread.join()).await),
            Writer::Task(task) => drop(task.await),
        }
    }
}

/// Commits one batch, and says whether to go on.
fn turn(shared: &Arc<Shared>, ledger: &mut Ledger, mutations: Vec<Mutation<Ticket>>) -> bool {
    if mutations.is_empty() {
        return false;
    }
    if shared.stopped.borrow().is_some() {
        // Whoever waits for these is told that their fate is unknown.
        return true;
    }
    // A plug-in that panics must not leave a node that takes writes and never commits them.
    if catch_unwind(AssertUnwindSafe(|| commit(shared, ledger, mutations))).is_err() {
        let message = "the writer panicked: see the log, and report it unless a plug-in of yours did";
        shared.stop(Error::new(ErrorKind::Internal, message));
    }
    true
}

fn commit(shared: &Arc<Shared>, ledger: &mut Ledger, mutations: Vec<Mutation<Ticket>>) {
    let Some(live) = shared.live.load_full() else { return };
    let store = &*shared.config.store;
    let minter = &mut ledger.minter;
    if minter.incarnation().is_none() {
        match minter.revive(store, Incarnation(rand::random())) {
            Ok(()) => tracing::info!("a commit had failed; the store goes on in a new incarnation"),
            Err(error) if error.kind() == ErrorKind::CommitUnknown => return shared.stop(error),
            Err(error) => tracing::warn!(%error, "no incarnation can be stored: puts are refused"),
        }
    }
    shared.set_incarnation(minter.incarnation().unwrap_or(Incarnation(0)));
    let keys = mutations.iter().map(Mutation::keys).sum();
    let mut applied = apply(store, &live.view, ledger, shared.now(), mutations);
    shared.versions_discarded.fetch_add(applied.discarded, Ordering::Relaxed);
    let minted = std::mem::take(&mut applied.minted);
    if !minted.is_empty() {
        shared.drive(&live, Event::Minted(minted));
    }
    let result = if applied.batch.is_empty() {
        Ok(())
    } else {
        let begun = Instant::now();
        let result = store.write(&applied.batch, applied.durability);
        shared.commits.lock().note(keys, applied.batch.bytes(), begun.elapsed(), &result);
        shared.wrote(applied.batch.bytes());
        result
    };
    let incarnation = ledger.minter.incarnation().unwrap_or(Incarnation(0));
    let achieved = applied.achieved;
    let finished = applied.finish(&result, ledger);
    match &result {
        Ok(()) => {}
        Err(CommitError::NotWritten(error)) => tracing::warn!(%error, "a batch was not written"),
        Err(error @ CommitError::Unknown(_)) => {
            let message = format!(
                "{error}: whether the last batch is stored is unknown, so the store is not used any more; check the disk and restart the node"
            );
            shared.stop(Error::new(ErrorKind::CommitUnknown, message));
        }
    }
    tell(shared, &live, incarnation, result.map(|()| achieved), finished);
}

fn tell(
    shared: &Arc<Shared>,
    live: &Arc<Live>,
    incarnation: Incarnation,
    result: Result<Durability, CommitError>,
    finished: kv_core::replica::Finished<Ticket>,
) {
    if !finished.ops.is_empty() {
        shared.drive(live, Event::Committed(finished.ops, incarnation, result));
    }
    if !finished.refused.is_empty() {
        shared.drive(live, Event::Refused(finished.refused));
    }
    if finished.has_work || finished.recovers {
        let turned = Event::Turned { has_work: finished.has_work, recovers: finished.recovers };
        shared.drive(live, turned);
    }
    for (ticket, clear) in finished.promises {
        ticket.answer(AnswerBody::Cleared(clear));
    }
    for (ticket, counts) in finished.counts {
        ticket.answer(AnswerBody::Counted(counts));
    }
    for (ticket, answers) in finished.replies {
        ticket.answer(AnswerBody::Write(answers));
    }
}
