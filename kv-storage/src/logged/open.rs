use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use kv_core::error::{Error, ErrorKind};
use kv_core::storage::{Batch, Durability, Storage};

use super::LogOptions;
use super::log::{Log, Writing};
use super::marker::{self, Marker};
use super::record::{self, Found};
use super::segment::{self, Header, Segment};
use super::spares::{PREFIX, Spares};
use super::table::Table;
use crate::errors::{damaged, unusable, unusable_io};
use crate::lock::DirectoryLock;

const SEGMENT_BYTES_MIN: usize = 16 << 10;
/// Offsets in a table have 32 bits.
pub(super) const SEGMENT_BYTES_MAX: usize = 2 << 30;

/// A log as it was found, or made.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) marker: Marker,
    /// The table of the last segment, which is written to.
    pub(super) active: Table,
    /// The tables of those before it, with the segments.
    pub(super) older: Vec<(Table, Segment)>,
    pub(super) spares: Spares,
    pub(super) lock: DirectoryLock,
}

/// Opens the log in `directory` that belongs to `below`, or makes it.
pub(super) fn open(below: &dyn Storage, directory: &Path, options: &LogOptions) -> Result<Opened, Error> {
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes) {
        return Err(Error::new(ErrorKind::InvalidConfiguration, "segment_bytes must be 16 KiB to 2 GiB"));
    }
    if !directory.is_dir() {
        fs::create_dir(directory).map_err(|error| unusable_io("cannot make", directory, error))?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(|error| unusable_io("cannot sync", parent, error))?;
        }
    }
    let lock = DirectoryLock::take(directory)?;
    let marker = read_marker(below, directory)?;
    let found = read_segments(directory)?;
    let Some(marker) = marker else { return make(below, directory, options, found, lock) };
    reopen(directory, options, found, marker, lock)
}

fn read_marker(below: &dyn Storage, directory: &Path) -> Result<Option<Marker>, Error> {
    let mut value = Vec::new();
    if !below.get(marker::KEY, &mut value)? {
        return Ok(None);
    }
    let marker = Marker::decode(&value);
    let message = || damaged(format!("what the store says of its log in {} is damaged", directory.display()));
    marker.map(Some).ok_or_else(message)
}

/// The segments that there are, those that were never used and those of which the header is not whole included.
fn read_segments(directory: &Path) -> Result<Vec<(Option<Header>, Segment)>, Error> {
    let failed = |error| unusable_io("cannot read", directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        let segment =
            Segment::open(path.clone()).map_err(|error| unusable_io("cannot open", &path, error))?;
        let mut head = [0; segment::HEADER];
        let is_long = segment.capacity >= segment::HEADER;
        if is_long {
            use std::os::unix::fs::FileExt;
            let read = segment.file.read_exact_at(&mut head, 0);
            read.map_err(|error| unusable_io("cannot read", &path, error))?;
        }
        found.push((Header::decode(&head).filter(|_| is_long), segment));
    }
    Ok(found)
}

/// Makes a log for a store that has none.
fn make(
    below: &dyn Storage,
    directory: &Path,
    options: &LogOptions,
    found: Vec<(Option<Header>, Segment)>,
    lock: DirectoryLock,
) -> Result<Opened, Error> {
    let cannot = |error| unusable_io("cannot write the log in", directory, error);
    for (header, segment) in found {
        // A log that was being made has no record yet: its store would know it.
        let used = segment.read().map_err(cannot)?;
        let is_used = header.is_some_and(|header| {
            used.get(segment::HEADER..).is_some_and(|records| record::find(records, header.salt).is_some())
        });
        if is_used {
            let shown = directory.display();
            return Err(unusable(format!(
                "the log in {shown} belongs to another store: put back the store that it belongs to, or give this one a directory of its own"
            )));
        }
        fs::remove_file(&segment.path).map_err(cannot)?;
    }
    let random =
        || u128::from(RandomState::new().hash_one(0)) << 64 | u128::from(RandomState::new().hash_one(1));
    let marker = Marker { log: random(), applied: 0 };
    let mut log = Log::new(marker.log);
    let mut spares = Spares::new(directory.to_path_buf(), options.segment_bytes, 0);
    let first = spares.make(0).map_err(cannot)?;
    log.begin(first, 1, 0).map_err(cannot)?;
    let mut batch = Batch::new();
    marker.put(&mut batch);
    below.write(&batch, Durability::Synced)?;
    let active = Table::new(options.segment_bytes);
    Ok(Opened { log, marker, active, older: Vec::new(), spares, lock })
}

fn reopen(
    directory: &Path,
    options: &LogOptions,
    found: Vec<(Option<Header>, Segment)>,
    marker: Marker,
    lock: DirectoryLock,
) -> Result<Opened, Error> {
    let shown = directory.display();
    let cannot = |error| unusable_io("cannot read the log in", directory, error);
    let mut log = Log::new(marker.log);
    let named_to = found.iter().filter_map(|(_, segment)| number_in_name(&segment.path)).max().unwrap_or(0);
    let mut spares = Spares::new(directory.to_path_buf(), options.segment_bytes, named_to);
    let mut used = Vec::new();
    for (header, segment) in found {
        match header {
            Some(header) if header.log != marker.log => {
                return Err(unusable(format!(
                    "the log in {shown} belongs to another store: put its own back"
                )));
            }
            Some(header) if header.number > marker.applied => used.push((header, segment)),
            _ => spares.add(segment),
        }
    }
    used.sort_by_key(|(header, _)| header.number);
    let numbers = used.iter().map(|(header, _)| header.number);
    if used.is_empty() || !numbers.eq((1..=used.len() as u64).map(|number| marker.applied + number)) {
        return Err(damaged(format!(
            "the log in {shown} is not there, or not all of it: what the store had not yet taken from it is lost"
        )));
    }
    let mut older = Vec::new();
    let mut segments = used.into_iter().peekable();
    while let Some((header, segment)) = segments.next() {
        let bytes = segment.read().map_err(cannot)?;
        let (table, end, sum) = replay(&bytes, header);
        let path = segment.path.display();
        match segments.peek() {
            Some((next, _)) => {
                if next.end_before != end as u64 {
                    return Err(damaged(format!(
                        "{path} is damaged at byte {end}: what was written after that is lost"
                    )));
                }
                older.push((table, segment));
            }
            None => {
                if let Some(at) = record_behind(&bytes, header, end) {
                    return Err(damaged(format!(
                        "{path} is damaged at byte {end}: what was written after that, such as at byte {at}, was durable"
                    )));
                }
                // Who was killed may have left records that are not durable: nobody reads them before they are.
                segment.sync().map_err(cannot)?;
                log.writing = Some(Writing { segment, header, end, sum, synced: end });
                return Ok(Opened { log, marker, active: table, older, spares, lock });
            }
        }
    }
    Err(damaged(format!("the log in {shown} has no segment")))
}

/// Reads a segment as far as it was written to, and returns what is in it, where it ends, and the sum of the last record.
fn replay(bytes: &[u8], header: Header) -> (Table, usize, u64) {
    let mut table = Table::new(bytes.len());
    let (mut end, mut sum) = (segment::HEADER, header.salt);
    while let Some((record, found)) = next(bytes, end, header.salt) {
        if found.link.before != sum || !table.add(record, &found) {
            break;
        }
        (end, sum) = (end + found.bytes, found.sum);
    }
    (table, end, sum)
}

fn next(bytes: &[u8], at: usize, salt: u64) -> Option<(&[u8], Found)> {
    let found = record::find(bytes.get(at..)?, salt)?;
    Some((bytes.get(at..at + found.bytes)?, found))
}

/// Where behind `end` a record lies that was written when more than `end` was durable: what should be at `end` was damaged, and not left unfinished.
fn record_behind(bytes: &[u8], header: Header, end: usize) -> Option<usize> {
    let places = (end..bytes.len()).step_by(record::ALIGN);
    places.skip(1).find(|at| {
        bytes
            .get(*at..)
            .and_then(|bytes| record::find(bytes, header.salt))
            .is_some_and(|found| found.link.synced > end as u64)
    })
}

fn number_in_name(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}
