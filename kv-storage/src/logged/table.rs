//! The memory table: what is in one segment of the log, as readers see it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use kv_core::storage::{Change, ScanRange};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::record::Found;
use super::segment;

const DELETED: u32 = u32::MAX;
/// Many small tables, each of which grows at another time: growing a large one would hold everybody up.
const TABLES: usize = 64;
/// Removed ranges after which a table counts as full: each is looked at by those who do not find a key.
const REMOVED_MAX: usize = 4_096;

/// What a table says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says<'a> {
    /// It has that value.
    Value(&'a [u8]),
    /// It is not there, whatever lies below.
    Nothing,
    /// Whatever lies below.
    Unknown,
}

/// The changes of one segment, by key.
pub(super) struct Table {
    /// What the segment's file holds: keys and values lie in it.
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    index: Box<[HashTable<(u64, u32)>]>,
    /// Made when it is asked for: most tables are never scanned.
    order: Mutex<Order>,
    /// Ranges that were removed, by their starts; they do not overlap. Slots count for more.
    removed: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A key that was changed, and its latest value.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u32,
    key_bytes: u32,
    value: u32,
    value_bytes: u32,
}

#[derive(Debug, Default)]
struct Order {
    slots: BTreeMap<Box<[u8]>, u32>,
    /// Slots that are in it.
    count: usize,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("keys", &self.slots.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// An empty table for a segment of that size.
    pub(super) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(segment::HEADER, 0);
        let index = (0..TABLES).map(|_| HashTable::new()).collect();
        Table { bytes, slots: Vec::new(), index, order: Mutex::default(), removed: BTreeMap::new() }
    }

    /// Bytes of the segment.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.removed.is_empty()
    }

    /// Whether it is to be given to the storage below, although its segment has room: by then finding takes more memory than what is found.
    pub(super) fn is_crowded(&self, capacity: usize) -> bool {
        self.slots.len() * 48 > capacity.max(1 << 20) || self.removed.len() >= REMOVED_MAX
    }

    /// Adds a record, which lies behind all that is there. Says whether it could be read.
    pub(super) fn add(&mut self, record: &[u8], found: &Found) -> bool {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(record);
        let Some(changes) = found.changes(record) else { return false };
        for (change, at) in changes {
            let key_at = (base + at) as u32;
            match change {
                Change::Put { key, value } => {
                    let value_at = key_at + key.len() as u32;
                    self.set(
                        key,
                        Slot {
                            key: key_at,
                            key_bytes: key.len() as u32,
                            value: value_at,
                            value_bytes: value.len() as u32,
                        },
                    );
                }
                Change::Delete { key } => {
                    self.set(
                        key,
                        Slot {
                            key: key_at,
                            key_bytes: key.len() as u32,
                            value: key_at,
                            value_bytes: DELETED,
                        },
                    );
                }
                Change::DeleteRange { start, end } => self.remove(start, end),
            }
        }
        true
    }

    fn set(&mut self, key: &[u8], slot: Slot) {
        let hash = xxh3_64(key);
        let Table { bytes, slots, index, .. } = self;
        let Some(table) = index.get_mut(place(hash)) else { return };
        let is_same = |(other, number): &(u64, u32)| {
            *other == hash && slots.get(*number as usize).is_some_and(|slot| slot.key(bytes) == key)
        };
        match table.entry(hash, is_same, |(hash, _)| *hash) {
            Entry::Occupied(entry) => {
                if let Some(known) = slots.get_mut(entry.get().1 as usize) {
                    // The key stays where it was: the order of scans leads there.
                    *known = Slot { key: known.key, ..slot };
                }
            }
            Entry::Vacant(entry) => {
                entry.insert((hash, slots.len() as u32));
                slots.push(slot);
            }
        }
    }

    fn remove(&mut self, start: &[u8], end: &[u8]) {
        let range = ScanRange::new(start, end);
        let Some(bounds) = range.bounds() else { return };
        let mut order = std::mem::take(self.order.get_mut());
        order.extend(&self.slots, &self.bytes);
        for (_, number) in order.slots.range::<[u8], _>(bounds) {
            if let Some(slot) = self.slots.get_mut(*number as usize) {
                slot.value_bytes = DELETED;
            }
        }
        *self.order.get_mut() = order;
        self.removed_also(start.to_vec(), end.to_vec());
    }

    /// Adds a range to those that were removed, and makes one of those that touch.
    fn removed_also(&mut self, mut start: Vec<u8>, mut end: Vec<u8>) {
        let later = |a: &[u8], b: &[u8]| a.is_empty() || (!b.is_empty() && a > b);
        let touching: Vec<Vec<u8>> = self
            .removed
            .iter()
            .filter(|(other, other_end)| {
                (end.is_empty() || other.as_slice() <= end.as_slice())
                    && (other_end.is_empty() || other_end.as_slice() >= start.as_slice())
            })
            .map(|(other, _)| other.clone())
            .collect();
        for other in touching {
            let other_end = self.removed.remove(&other).unwrap_or_default();
            start = start.min(other);
            if later(&other_end, &end) {
                end = other_end;
            }
        }
        self.removed.insert(start, end);
    }

    /// What it says of a key.
    pub(super) fn says(&self, key: &[u8]) -> Says<'_> {
        match self.find(key) {
            Some(slot) => slot.says(&self.bytes),
            None if self.is_removed(key) => Says::Nothing,
            None => Says::Unknown,
        }
    }

    fn find(&self, key: &[u8]) -> Option<&Slot> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = xxh3_64(key);
        let is_same = |(other, number): &(u64, u32)| {
            *other == hash && self.slot(*number).is_some_and(|slot| slot.key(&self.bytes) == key)
        };
        let (_, number) = self.index.get(place(hash))?.find(hash, is_same)?;
        self.slot(*number)
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    fn is_removed(&self, key: &[u8]) -> bool {
        let before = self.removed.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        before.is_some_and(|(_, end)| end.is_empty() || key < end.as_slice())
    }

    /// Calls `visit` with the keys that were changed in a range, ascending, until it says that it has enough.
    pub(super) fn scan(&self, range: ScanRange<'_>, mut visit: impl FnMut(&[u8]) -> bool) {
        let Some(bounds) = range.bounds() else { return };
        let mut order = self.order.lock();
        order.extend(&self.slots, &self.bytes);
        for (key, _) in order.slots.range::<[u8], _>(bounds) {
            if !visit(key) {
                return;
            }
        }
    }

    /// Whether a key was changed by itself.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Keys that were changed.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One of the keys that were changed.
    pub(super) fn nth(&self, number: usize) -> Option<(&[u8], Says<'_>)> {
        self.slots.get(number).map(|slot| (slot.key(&self.bytes), slot.says(&self.bytes)))
    }

    /// The ranges that were removed.
    pub(super) fn removed(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.removed.iter().map(|(start, end)| (start.as_slice(), end.as_slice()))
    }

    /// Numbers of the keys that were changed, by key, ascending.
    pub(super) fn sorted(&self) -> Vec<u32> {
        // Bucket and token of a key are in its first bytes: comparing those as a number decides nearly always.
        let head = |slot: &Slot| {
            let mut head = [0; 16];
            let key = slot.key(&self.bytes);
            let bytes = key.len().min(16);
            if let (Some(to), Some(from)) = (head.get_mut(..bytes), key.get(..bytes)) {
                to.copy_from_slice(from);
            }
            u128::from_be_bytes(head)
        };
        let mut all: Vec<(u128, u32)> =
            self.slots.iter().enumerate().map(|(number, slot)| (head(slot), number as u32)).collect();
        let key = |number: u32| self.slot(number).map_or(&[][..], |slot| slot.key(&self.bytes));
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        all.into_iter().map(|(_, number)| number).collect()
    }
}

impl Slot {
    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.key as usize;
        bytes.get(start..start + self.key_bytes as usize).unwrap_or_default()
    }

    fn says<'a>(&self, bytes: &'a [u8]) -> Says<'a> {
        if self.value_bytes == DELETED {
            return Says::Nothing;
        }
        let start = self.value as usize;
        Says::Value(bytes.get(start..start + self.value_bytes as usize).unwrap_or_default())
    }
}

impl Order {
    /// Takes in the slots that are new.
    fn extend(&mut self, slots: &[Slot], bytes: &[u8]) {
        for (number, slot) in slots.iter().enumerate().skip(self.count) {
            self.slots.insert(slot.key(bytes).into(), number as u32);
        }
        self.count = slots.len();
    }
}

/// Which of the tables: by bits that have little to do with the place in it.
fn place(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
}
