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
#[derive(Debug)]
pub(super) struct Write {
    pub(super) id: u64,
    pub(super) is_delete: bool,
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

#[derive(Debug)]
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
}

/// A get that was answered.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    pub(super) r: usize,
    /// Whether it was made when all faults were over.
    pub(super) is_final: bool,
    pub(super) values: Vec<Seen>,
}

/// A value that a get showed.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) dot: Dot,
    /// The write of this key, or none for a value that nobody wrote to it.
    pub(super) write: Option<usize>,
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
        r: usize,
        is_final: bool,
        siblings: &[Sibling],
    ) -> usize {
        let values = siblings
            .iter()
            .map(|sibling| {
                let named = decode(&sibling.value).and_then(|id| self.writes.get(id as usize - 1));
                let write = named.filter(|(of, _)| *of == key).map(|(_, place)| *place);
                Seen { dot: sibling.dot, write }
            })
            .collect();
        let reads = &mut self.keys[key].reads;
        reads.push(Read { start_us, end_us, r, is_final, values });
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
