use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv_core::ids::BucketId;
use kv_core::replica::{Mutation, leftover};
use kv_core::wire::{AnswerBody, WriteAnswer};
use tokio::sync::oneshot;

use crate::node::shared::Shared;
use crate::node::ticket::Ticket;

/// Between two pieces, so that what clients write goes first.
const PAUSE: Duration = Duration::from_millis(2);
/// After a piece that could not be removed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Removes what deleted buckets left in the store, piece by piece. It is run whenever the bucket table has changed and at every start,
/// so that also a node that was down when a bucket was deleted, or crashed before it was through, comes to it.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let _alone = shared.sweeping.lock().await;
    // What the writer took before it knew the present table is committed once it comes to this.
    let mut piece = Some(Vec::new()..Vec::new());
    while let Some(range) = piece.take() {
        if !remove(&shared, range).await {
            return;
        }
        let looking = shared.clone();
        let found = tokio::task::spawn_blocking(move || {
            let is_live = |bucket| {
                bucket == BucketId::STAND_IN
                    || looking.live.load().as_ref().is_none_or(|live| live.view.table().has(bucket))
            };
            leftover(&*looking.config.store, is_live)
        });
        let found = found.await;
        match found {
            Ok(Ok(found)) => piece = found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is left of deleted buckets cannot be looked for; it is at the next start");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Removes a range, trying as often as it takes; not if the node stops.
async fn remove(shared: &Shared, range: Range<Vec<u8>>) -> bool {
    while !shared.draining.load(Ordering::Acquire) && shared.stopped.borrow().is_none() {
        let (waiter, removed) = oneshot::channel();
        let reply = Ticket::Frame(waiter);
        let queued = shared.queue.push(Mutation::Remove { range: range.clone(), reply });
        if queued.is_ok()
            && let Ok(AnswerBody::Write(answers)) = removed.await
            && matches!(*answers, [WriteAnswer::Committed(_)])
        {
            return true;
        }
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
    false
}
