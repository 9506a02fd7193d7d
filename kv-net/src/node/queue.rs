use std::collections::VecDeque;

use kv_core::replica::Mutation;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::node::ticket::Ticket;

/// Most bytes that wait; what comes when there are more is refused as overloaded.
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// Bytes at which a batch is full.
const BATCH_BYTES_MAX: usize = 32 << 20;

/// The bounded queue of mutations in front of a store's writer.
#[derive(Debug)]
pub(super) struct MutationQueue {
    state: Mutex<State>,
    filled: Condvar,
    /// The same for a writer that is a task.
    filled_async: Notify,
    mutations_max: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Mutation<Ticket>>,
    keys: usize,
    bytes: usize,
    closed: bool,
    writer_sleeps: bool,
}

impl MutationQueue {
    pub(super) fn new(mutations_max: usize) -> Self {
        MutationQueue {
            state: Mutex::default(),
            filled: Condvar::new(),
            filled_async: Notify::new(),
            mutations_max,
        }
    }

    /// Queues a mutation, or gives it back if the queue is full or closed.
    pub(super) fn push(&self, mutation: Mutation<Ticket>) -> Result<(), Mutation<Ticket>> {
        let mut state = self.state.lock();
        if state.closed || state.keys >= self.mutations_max || state.bytes >= QUEUE_BYTES_MAX {
            return Err(mutation);
        }
        state.keys += mutation.keys();
        state.bytes += mutation.bytes();
        state.waiting.push_back(mutation);
        let wake = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if wake {
            self.wake();
        }
        Ok(())
    }

    /// Blocks until there are mutations and takes about as many as touch `keys_max` keys; none once the queue is closed and empty.
    pub(super) fn take(&self, keys_max: usize) -> Vec<Mutation<Ticket>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.closed {
            state.writer_sleeps = true;
            self.filled.wait(&mut state);
        }
        state.take(keys_max)
    }

    /// The same for a writer that is a task.
    pub(super) async fn take_async(&self, keys_max: usize) -> Vec<Mutation<Ticket>> {
        loop {
            {
                let mut state = self.state.lock();
                if !state.waiting.is_empty() || state.closed {
                    return state.take(keys_max);
                }
                state.writer_sleeps = true;
            }
            self.filled_async.notified().await;
        }
    }

    /// Lets nothing more in and wakes the writer, which works off what is there.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }

    /// Keys of mutations that wait.
    pub(super) fn keys(&self) -> usize {
        self.state.lock().keys
    }

    fn wake(&self) {
        self.filled.notify_one();
        self.filled_async.notify_one();
    }
}

impl State {
    fn take(&mut self, keys_max: usize) -> Vec<Mutation<Ticket>> {
        self.writer_sleeps = false;
        let mut taken = Vec::with_capacity(self.waiting.len().min(keys_max));
        let (mut keys, mut bytes) = (0, 0);
        while keys < keys_max
            && bytes < BATCH_BYTES_MAX
            && let Some(mutation) = self.waiting.pop_front()
        {
            keys += mutation.keys();
            bytes += mutation.bytes();
            taken.push(mutation);
        }
        self.keys -= keys;
        self.bytes -= bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use kv_core::replica::MergeGroup;

    use super::*;

    #[test]
    fn what_is_more_than_the_bound_is_given_back_until_some_is_taken() {
        let queue = MutationQueue::new(3);
        let push =
            || queue.push(Mutation::Merge(MergeGroup { reply: None, op: None, items: Vec::new() })).is_ok();
        assert_eq!([push(), push(), push(), push(), push()], [true, true, true, false, false]);
        assert_eq!((queue.take(2).len(), queue.keys()), (2, 1));
        assert_eq!([push(), push(), push()], [true, true, false]);
        queue.close();
        assert_eq!(queue.take(9).len(), 3, "what was let in is worked off");
        assert!(!push(), "a closed queue takes nothing");
    }
}
