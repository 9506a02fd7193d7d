use std::collections::BTreeMap;

/// What is to happen at which time, in the order in which it was asked for where the time is the same.
#[derive(Debug)]
pub(super) struct Timers<E> {
    waiting: BTreeMap<(u64, u64), E>,
    last: u64,
}

impl<E> Timers<E> {
    pub(super) fn new() -> Self {
        Timers { waiting: BTreeMap::new(), last: 0 }
    }

    pub(super) fn add(&mut self, at_us: u64, event: E) {
        self.last += 1;
        self.waiting.insert((at_us, self.last), event);
    }

    pub(super) fn next_us(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|((at_us, _), _)| *at_us)
    }

    pub(super) fn pop_due(&mut self, now_us: u64) -> Option<E> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now_us)?;
        Some(first.remove())
    }
}
