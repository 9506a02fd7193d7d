use std::sync::atomic::{AtomicU64, Ordering};

/// What a front door did since it opened.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) protocol_errors: AtomicU64,
    /// In the order of the table of commands, those that it does not have behind them.
    commands: Box<[AtomicU64]>,
}

impl Counts {
    /// Nothing done, with so many commands in the table.
    pub(super) fn new(commands: usize) -> Self {
        Counts {
            connections: AtomicU64::new(0),
            protocol_errors: AtomicU64::new(0),
            commands: (0..=commands).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Takes note of a command by its place in the table, if it is there.
    pub(super) fn command(&self, place: Option<usize>) {
        if let Some(count) = self.commands.get(place.unwrap_or(self.commands.len() - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many of each command there were, in the order of the table; those that it does not have at the end.
    pub(super) fn commands(&self) -> impl Iterator<Item = u64> {
        self.commands.iter().map(|count| count.load(Ordering::Relaxed))
    }
}
