//! Records of the log: one batch each, back to back, each bound to the one before it.

use kv_core::storage::{Batch, Change};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes in front of a record's changes: magic, length, sum of the record before, how much of the segment was durable, sum.
pub(super) const HEADER: usize = 32;
/// Records begin at multiples of it.
pub(super) const ALIGN: usize = 8;

const MAGIC: u32 = 0x4c56_4b52;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
/// Bytes in front of the bytes of a change: what it is, and two lengths.
const CHANGE: usize = 9;

/// Where in a segment a record is, and what it says of what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The sum of the record before; the segment's salt for the first.
    pub(super) before: u64,
    /// Bytes of the segment that were durable when it was written.
    pub(super) synced: u64,
}

/// A record that was found whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) link: Link,
    pub(super) sum: u64,
    /// Bytes up to where the next one begins.
    pub(super) bytes: usize,
    changes: usize,
}

/// Bytes that the record of a batch takes.
pub(super) fn bytes_of(batch: &Batch) -> usize {
    (HEADER + batch.len() * CHANGE + batch.bytes()).next_multiple_of(ALIGN)
}

/// Appends the record of a batch and returns its sum. `salt` is that of the segment.
pub(super) fn append(batch: &Batch, link: Link, salt: u64, bytes: &mut Vec<u8>) -> u64 {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEADER]);
    for change in batch.changes() {
        let (what, first, second) = match change {
            Change::Put { key, value } => (PUT, key, value),
            Change::Delete { key } => (DELETE, key, &[][..]),
            Change::DeleteRange { start, end } => (DELETE_RANGE, start, end),
        };
        bytes.push(what);
        bytes.extend_from_slice(&(first.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(second.len() as u32).to_le_bytes());
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
    }
    let length = (bytes.len() - start - HEADER) as u32;
    let mut header = [0; HEADER];
    put(&mut header, 0, &MAGIC.to_le_bytes());
    put(&mut header, 4, &length.to_le_bytes());
    put(&mut header, 8, &link.before.to_le_bytes());
    put(&mut header, 16, &link.synced.to_le_bytes());
    put_at(bytes, start, &header);
    let sum = sum(bytes.get(start..).unwrap_or_default(), salt);
    put_at(bytes, start + HEADER - 8, &sum.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    sum
}

/// The record at the beginning of `bytes`, if there is a whole one.
pub(super) fn find(bytes: &[u8], salt: u64) -> Option<Found> {
    let header = bytes.get(..HEADER)?;
    if u32_at(header, 0)? != MAGIC {
        return None;
    }
    let found = found(header)?;
    let whole = bytes.get(..HEADER.checked_add(found.changes)?)?;
    (sum(whole, salt) == found.sum).then_some(found)
}

/// What a record's header says, right or not.
pub(super) fn found(header: &[u8]) -> Option<Found> {
    let changes = u32_at(header, 4)? as usize;
    Some(Found {
        link: Link { before: u64_at(header, 8)?, synced: u64_at(header, 16)? },
        sum: u64_at(header, HEADER - 8)?,
        bytes: (HEADER + changes).next_multiple_of(ALIGN),
        changes,
    })
}

impl Found {
    /// The changes of the record at the beginning of `bytes`, each with the place of its first byte string; none if they do not decode, which a sum that is right makes
    /// next to impossible.
    pub(super) fn changes<'a>(&self, bytes: &'a [u8]) -> Option<Vec<(Change<'a>, usize)>> {
        let bytes = bytes.get(..HEADER + self.changes)?;
        let mut changes = Vec::new();
        let mut at = HEADER;
        while at < bytes.len() {
            let what = *bytes.get(at)?;
            let (first, second) = (u32_at(bytes, at + 1)? as usize, u32_at(bytes, at + 5)? as usize);
            let start = at + CHANGE;
            let key = bytes.get(start..start.checked_add(first)?)?;
            let value = bytes.get(start + first..(start + first).checked_add(second)?)?;
            changes.push(match what {
                PUT => (Change::Put { key, value }, start),
                DELETE => (Change::Delete { key }, start),
                DELETE_RANGE => (Change::DeleteRange { start: key, end: value }, start),
                _ => return None,
            });
            at = start + first + second;
        }
        Some(changes)
    }
}

/// The sum of a record, over all of it but the sum.
fn sum(record: &[u8], salt: u64) -> u64 {
    let (header, changes) = record.split_at(HEADER.min(record.len()));
    let header = header.get(..HEADER - 8).unwrap_or_default();
    xxh3_64_with_seed(changes, xxh3_64_with_seed(header, salt))
}

fn put(bytes: &mut [u8; HEADER], at: usize, what: &[u8]) {
    put_at(bytes, at, what);
}

pub(super) fn put_at(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + what.len()) {
        place.copy_from_slice(what);
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
