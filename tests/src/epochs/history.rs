//! What was written, acknowledged and dropped, as somebody knows who sees everything. Nodes do not.

use crate::epochs::record::{WRITES_MAX, Writes, each, one};

/// What a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Value,
    /// A value that will expire.
    Expiring,
    Delete,
}

/// The name of a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    pub incarnation: u8,
    pub birth: u8,
    pub counter: u8,
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Made {
    pub kind: Kind,
    pub dot: Dot,
    /// The owner that made it.
    pub by: u8,
    /// Everything that it replaced, directly or not.
    pub replaced: Writes,
    /// The stores that were counted for it, a bit each.
    pub acks: u8,
}

/// All writes of a run and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct History {
    made: [Option<Made>; WRITES_MAX],
    expired: Writes,
    /// What was covered by, or was itself, something that a replica dropped by the rule.
    pub reaped: Writes,
    /// Whether two writes have one dot.
    pub dot_twice: bool,
}

impl History {
    pub fn len(&self) -> usize {
        self.made.iter().flatten().count()
    }

    pub fn get(&self, write: usize) -> Made {
        self.made[write].unwrap()
    }

    /// Adds a write with `past`; gives its number.
    pub fn add(&mut self, kind: Kind, dot: Dot, by: usize, past: Writes) -> usize {
        let write = self.len();
        self.dot_twice |= self.made.iter().flatten().any(|other| other.dot == dot);
        let replaced = self.closed(past);
        self.made[write] = Some(Made { kind, dot, by: by as u8, replaced, acks: 0 });
        write
    }

    /// A set and all that its writes replaced.
    fn closed(&self, writes: Writes) -> Writes {
        each(writes).fold(writes, |all, write| all | self.get(write).replaced)
    }

    pub fn acknowledge(&mut self, write: usize, store: usize) {
        if let Some(made) = &mut self.made[write] {
            made.acks |= 1 << store;
        }
    }

    /// The writes that were acknowledged to their clients: two stores have them.
    pub fn acknowledged(&self) -> impl Iterator<Item = usize> {
        let made = self.made.iter().enumerate();
        made.filter(|(_, made)| made.is_some_and(|made| made.acks.count_ones() >= 2)).map(|(write, _)| write)
    }

    /// Whether the time of an expiring value has passed on every clock.
    pub fn expired(&self, write: usize) -> bool {
        self.expired & one(write) != 0
    }

    pub fn expire(&mut self, write: usize) {
        self.expired |= one(write);
    }

    /// Whether a version has nothing to show any more.
    pub fn is_dead(&self, write: usize) -> bool {
        self.get(write).kind == Kind::Delete || self.expired(write)
    }

    /// Notes that a replica dropped versions or entries.
    pub fn reap(&mut self, writes: Writes) {
        self.reaped |= self.closed(writes);
    }

    /// Whether one of `writes` is `write` or replaced it.
    pub fn covers(&self, writes: Writes, write: usize) -> bool {
        self.closed(writes) & one(write) != 0
    }
}
