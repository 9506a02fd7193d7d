use bytes::Bytes;

use crate::causality::{Dot, DotSet};
use crate::command::Sibling;
use crate::ids::NodeId;

/// What clients sent and saw, by key, and nothing else.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) keys: Vec<KeyHistory>,
    /// Which write of which key each write id names.
    writes: Vec<(usize, usize)>,
}

/// What clients did to one key.
#[derive(Debug)]
pub(super) struct KeyHistory {
    pub(super) name: String,
    /// Replicas of the key.
    pub(super) replicas: usize,
    /// Whether the stamp decides among concurrent writes.
    pub(super) by_stamp: bool,
    /// In the order in which they were begun.
    pub(super) writes: Vec<Write>,
    /// In the order in which they ended.
    pub(super) reads: Vec<Read>,
    /// Pages of keys without values that showed it. One that does not show it is a read that showed nothing.
    pub(super) listed: Vec<Listed>,
    pub(super) handed_on: Vec<HandedOn>,
    /// From when until when the store of an owner was one that had been put back as it once was, and did not have again what the others have.
    pub(super) restored: Vec<Restored>,
}

impl KeyHistory {
    /// Whether an owner may have acknowledged `write` and not have it at some time between two, because its store was put back as it
    /// once was; it does not know that before it has met the others.
    pub(super) fn is_forgotten(&self, write: &Write, (from_us, until_us): (u64, u64)) -> bool {
        let forgets = |restored: &Restored| {
            write.start_us <= restored.at_us && restored.at_us <= until_us && from_us <= restored.whole_us
        };
        self.restored.iter().any(forgets)
    }
}

/// A store of an owner that was put back as it once was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restored {
    pub(super) node: usize,
    pub(super) at_us: u64,
    /// When it had again what the others have, or later.
    pub(super) whole_us: u64,
}

/// What an owner showed before a put through it that replaced nothing and that all owners acknowledged, and what one of them showed after it.
#[derive(Debug)]
pub(super) struct HandedOn {
    /// The place of the read before.
    pub(super) before: usize,
    /// The place of the write.
    pub(super) put: usize,
    /// The place of the read after.
    pub(super) after: usize,
}

/// A put or delete.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) id: u64,
    pub(super) what: Written,
    /// Whether it was tried again, under the same id: two tries may then be two versions, and what replaced one need not have replaced both.
    pub(super) is_retried: bool,
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    /// Until when the read inside an overwrite may have been made.
    pub(super) reads_until_us: u64,
    pub(super) basis: Basis,
    /// Acknowledgements of owners, and answers of owners for the read inside an overwrite: what was asked for, less what stand-ins did.
    pub(super) w: usize,
    pub(super) r: usize,
    pub(super) outcome: WriteOutcome,
    /// The absent owners for which it is kept elsewhere, as the answer says.
    pub(super) kept_for: Vec<NodeId>,
}

/// What a write wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A value, and when it may be gone.
    Value(Option<Lifetime>),
    /// Another expiry of the value that was there.
    Expiry(Lifetime),
    Tombstone,
}

/// When a value expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// The moment that was asked for; no other write of the key asks for the same.
    pub(super) at_ms: u64,
    /// From when on it may be gone: that moment, or ever if it may have passed by the clock of the node that the put reached.
    pub(super) gone_from_ms: u64,
}

impl Write {
    pub(super) fn is_delete(&self) -> bool {
        self.what == Written::Tombstone
    }

    /// Whether it writes no value of its own.
    pub(super) fn is_change(&self) -> bool {
        matches!(self.what, Written::Expiry(_))
    }

    pub(super) fn lifetime(&self) -> Option<Lifetime> {
        match self.what {
            Written::Value(lifetime) => lifetime,
            Written::Expiry(lifetime) => Some(lifetime),
            Written::Tombstone => None,
        }
    }

    /// Notes that the put reached a node whose clock was not beyond `until_ms`.
    pub(super) fn reached(&mut self, until_ms: u64) {
        if let Written::Value(Some(lifetime)) | Written::Expiry(lifetime) = &mut self.what
            && until_ms < lifetime.at_ms
            && !self.is_retried
        {
            lifetime.gone_from_ms = lifetime.at_ms;
        }
    }

    /// Notes that it is tried again, and until when its read may be made.
    pub(super) fn is_tried_again(&mut self, reads_until_us: u64) {
        self.is_retried = true;
        self.reads_until_us = reads_until_us;
        if let Written::Value(Some(lifetime)) | Written::Expiry(lifetime) = &mut self.what {
            lifetime.gone_from_ms = 0;
        }
    }

    /// Whether readers may have been shown nothing of it although it is there, at a coordinator whose clock was not beyond `until_ms`.
    pub(super) fn may_be_gone(&self, until_ms: u64) -> bool {
        self.is_delete() || self.lifetime().is_some_and(|lifetime| lifetime.gone_from_ms <= until_ms)
    }
}

impl Lifetime {
    /// One of which nothing is known yet but what is asked for.
    pub(super) fn asked(at_ms: u64) -> Self {
        Lifetime { at_ms, gone_from_ms: 0 }
    }
}

/// The clock of a node when an operation began there.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockMark {
    pub(super) node: usize,
    pub(super) from_ms: u64,
    /// How often it had been set.
    pub(super) sets: u64,
}

/// What the clock of a coordinator showed while an operation was made, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockSpan {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

impl ClockSpan {
    /// A clock that jumped meanwhile.
    pub(super) const UNKNOWN: ClockSpan = ClockSpan { from_ms: 0, until_ms: u64::MAX };
}

/// What a write said that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    Nothing,
    /// What a read of the client showed.
    Read(usize),
    /// The context that a write of the client was answered with.
    Answer(usize),
    /// What the cluster finds.
    Overwrite,
}

#[derive(Debug, Clone)]
pub(super) enum WriteOutcome {
    /// Nothing was heard, or that nobody knows.
    Indeterminate,
    NotApplied,
    /// Acknowledged under this name; and what the answer says that was replaced.
    Applied(Dot, DotSet),
    /// A delete that found nothing to delete.
    NothingToDelete,
}

/// A page of keys without values that showed the key.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    pub(super) r: usize,
    /// The coordinator's clock.
    pub(super) clock: ClockSpan,
}

/// A get that was answered.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    pub(super) r: usize,
    /// The coordinator's clock.
    pub(super) clock: ClockSpan,
    /// Whether it was made when all faults were over.
    pub(super) is_final: bool,
    pub(super) values: Vec<Seen>,
}

/// A value that a get showed.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) dot: Dot,
    /// The write of this key, or none for a value that nobody wrote to it: the put of the value, or the change of its expiry that is shown.
    pub(super) write: Option<usize>,
    /// The put of the value.
    pub(super) origin: Option<usize>,
    pub(super) expires_at_ms: Option<u64>,
}

impl History {
    pub(super) fn new(keys: Vec<KeyHistory>) -> Self {
        History { keys, writes: Vec::new() }
    }

    /// Notes a write that begins and returns its place among those of the key.
    pub(super) fn begin(&mut self, key: usize, write: impl FnOnce(u64) -> Write) -> usize {
        let id = self.writes.len() as u64 + 1;
        let place = self.keys[key].writes.len();
        self.writes.push((key, place));
        self.keys[key].writes.push(write(id));
        place
    }

    /// Notes a get that was answered and returns its place among those of the key.
    pub(super) fn read(
        &mut self,
        key: usize,
        (start_us, end_us): (u64, u64),
        clock: ClockSpan,
        r: usize,
        is_final: bool,
        siblings: &[Sibling],
    ) -> usize {
        let values = siblings
            .iter()
            .map(|sibling| {
                let named = decode(&sibling.value).and_then(|id| self.writes.get(id as usize - 1));
                let origin = named.filter(|(of, _)| *of == key).map(|(_, place)| *place);
                let expires_at_ms = sibling.expires_at_ms;
                let changes = |write: &Write| {
                    write.is_change() && write.lifetime().map(|lifetime| lifetime.at_ms) == expires_at_ms
                };
                let asked =
                    |place: usize| self.keys[key].writes[place].lifetime().map(|lifetime| lifetime.at_ms);
                let change =
                    origin.filter(|origin| expires_at_ms.is_some() && asked(*origin) != expires_at_ms);
                let change = change.and_then(|_| self.keys[key].writes.iter().position(changes));
                Seen { dot: sibling.dot, write: change.or(origin), origin, expires_at_ms }
            })
            .collect();
        let reads = &mut self.keys[key].reads;
        reads.push(Read { start_us, end_us, r, clock, is_final, values });
        reads.len() - 1
    }
}

const ID_BYTES: usize = 8;
const FILL: u64 = 0xa076_1d64_78bd_642f;

/// The value of a write: its id, and bytes that follow from the id, so that any alteration shows.
pub(super) fn encode(id: u64) -> Bytes {
    let check = id.wrapping_mul(FILL);
    let length = ID_BYTES + 8 + (check >> 60) as usize;
    let mut value = Vec::with_capacity(length);
    value.extend_from_slice(&id.to_le_bytes());
    value.extend_from_slice(&check.to_le_bytes());
    value.resize(length, id as u8);
    value.into()
}

fn decode(value: &[u8]) -> Option<u64> {
    let id = u64::from_le_bytes(value.get(..ID_BYTES)?.try_into().ok()?);
    (id > 0 && encode(id) == value).then_some(id)
}
