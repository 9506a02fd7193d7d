//! What whoever writes and whoever gives tables away share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kv_core::storage::{Batch, Change, CommitError, Durability, Storage, StorageError};
use parking_lot::{Condvar, Mutex, RwLock};

use super::LogOptions;
use super::log::{AppendError, Log};
use super::marker::{self, Marker};
use super::open::SEGMENT_BYTES_MAX;
use super::record;
use super::segment::{self, Segment};
use super::spares::Spares;
use super::table::{Says, Table};
use crate::lock::DirectoryLock;

/// A storage below takes up to so many times the bytes of what it is given.
const PAGES_PER_ENTRY: u64 = 2;
/// How long a storage below that has no room is left alone.
const RETRY: Duration = Duration::from_millis(200);
/// How long a batch is held up for each part in a hundred by which the table that is filled is ahead of the one that is given away.
const PACE: Duration = Duration::from_micros(50);

/// A log, its tables, and the storage below.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) below: Arc<dyn Storage>,
    pub(super) options: LogOptions,
    /// Whoever writes; locked before anything else.
    pub(super) log: Mutex<Log>,
    pub(super) tables: RwLock<Tables>,
    /// What has yet to be given to the storage below.
    pub(super) queue: Mutex<Queue>,
    pub(super) changed: Condvar,
    pub(super) has_failed: AtomicBool,
    /// Parts in a hundred of the oldest full table that the storage below has.
    pub(super) progress: AtomicUsize,
    pub(super) batches: AtomicU64,
    /// Transactions that the storage below was given, counted when they begin and when they end.
    pub(super) given: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) _lock: DirectoryLock,
}

/// What reads look through.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) active: Table,
    /// Full ones, the oldest first.
    pub(super) full: Vec<Arc<Table>>,
}

#[derive(Debug)]
pub(super) struct Queue {
    /// Full tables with their segments, the oldest first: those of `Tables::full`.
    pub(super) full: Vec<(Arc<Table>, Segment)>,
    pub(super) spares: Spares,
    pub(super) marker: Marker,
    /// Why the storage below did not take the oldest, if it did not.
    pub(super) refused: Option<StorageError>,
    pub(super) is_closing: bool,
}

impl Inner {
    pub(super) fn check_not_failed(&self, operation: &'static str) -> Result<(), CommitError> {
        if self.has_failed.load(Ordering::Acquire) {
            let message = "a commit failed before: the store has to be reopened";
            return Err(CommitError::Unknown(StorageError::new(operation, message)));
        }
        Ok(())
    }

    /// Refuses what is known beforehand to fail.
    fn check(&self, batch: &Batch) -> Result<(), CommitError> {
        self.check_not_failed("write")?;
        let refuse = |message| Err(CommitError::NotWritten(StorageError::new("write", message)));
        let key_bytes_max = self.below.capabilities().key_bytes_max;
        for change in batch.changes() {
            let (Change::Put { key, .. } | Change::Delete { key }) = change else { continue };
            if key == marker::KEY {
                return refuse("that key is the log's own".to_string());
            }
            if matches!(change, Change::Put { .. }) && !(1..=key_bytes_max).contains(&key.len()) {
                return refuse(format!("a key must have 1 to {key_bytes_max} bytes, not {}", key.len()));
            }
        }
        if record::bytes_of(batch) > SEGMENT_BYTES_MAX - segment::HEADER {
            return refuse(format!("a batch must have less than {SEGMENT_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    pub(super) fn fail(&self, error: StorageError) -> CommitError {
        self.has_failed.store(true, Ordering::Release);
        CommitError::Unknown(error)
    }

    fn io_error(&self, error: std::io::Error) -> CommitError {
        let is_full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
        let error = StorageError::from_source("write", error);
        if is_full { CommitError::NotWritten(error) } else { self.fail(error) }
    }

    pub(super) fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let mut log = self.log.lock();
        self.check(batch)?;
        self.take_room(&mut log, batch.bytes() as u64 * PAGES_PER_ENTRY)?;
        let bytes = record::bytes_of(batch);
        let is_crowded = self.tables.read().active.is_crowded(self.options.segment_bytes);
        if is_crowded || !log.has_room(bytes) {
            // At most one full table waits while another is filled.
            self.wait_for_room()?;
            self.begin_segment(&mut log, segment::HEADER + bytes)?;
        }
        self.pace();
        let is_synced = durability == Durability::Synced;
        let appended = log.append(batch, is_synced, |record, found| {
            self.tables.write().active.add(record, found);
        });
        appended.map_err(|error| match error {
            AppendError::NotWritten(error) => {
                CommitError::NotWritten(StorageError::from_source("write", error))
            }
            AppendError::Unknown(error) => self.fail(StorageError::from_source("write", error)),
        })?;
        self.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses what the storage below has no room for: it would never get out of the log.
    fn take_room(&self, log: &mut Log, bytes: u64) -> Result<(), CommitError> {
        if log.room < bytes {
            let free = self.below.stats().map_err(CommitError::NotWritten)?.bytes_free.unwrap_or(u64::MAX);
            let waiting: u64 = self.tables.read().newest_first().map(|table| table.bytes() as u64).sum();
            log.room = free.saturating_sub(waiting * PAGES_PER_ENTRY);
        }
        match log.room.checked_sub(bytes) {
            Some(left) => log.room = left,
            None => {
                let message = format!(
                    "the storage below has room for {} bytes more, the batch may need {bytes}",
                    log.room
                );
                return Err(CommitError::NotWritten(StorageError::new("write", message)));
            }
        }
        Ok(())
    }

    /// Holds a batch up if tables are filled faster than they are given away, a little at a time so that nobody has to wait for a whole one.
    fn pace(&self) {
        let tables = self.tables.read();
        if tables.full.is_empty() {
            return;
        }
        let filled = tables.active.bytes() * 100 / self.options.segment_bytes.max(1);
        drop(tables);
        let ahead = filled.saturating_sub(self.progress.load(Ordering::Relaxed)).min(100);
        if ahead > 2 && self.options.in_background {
            thread::sleep(PACE * ahead as u32);
        }
    }

    /// Makes the active table a full one, and begins the next segment, with room for so many bytes.
    pub(super) fn begin_segment(&self, log: &mut Log, bytes: usize) -> Result<(), CommitError> {
        log.sync().map_err(|error| self.fail(StorageError::from_source("write", error)))?;
        let Some(writing) = &log.writing else { return self.check_not_failed("write") };
        let (number, end) = (writing.header.number + 1, writing.end as u64);
        let spare = self.queue.lock().spares.take(bytes);
        let segment = match spare {
            Some(spare) => spare,
            None => {
                let (path, capacity) = self.queue.lock().spares.next(bytes);
                Segment::make(path, capacity).map_err(|error| self.io_error(error))?
            }
        };
        let before = log
            .begin(segment, number, end)
            .map_err(|error| self.fail(StorageError::from_source("write", error)))?;
        let next = Table::new(log.writing.as_ref().map_or(0, |writing| writing.segment.capacity));
        let mut tables = self.tables.write();
        let table = Arc::new(std::mem::replace(&mut tables.active, next));
        tables.full.push(table.clone());
        drop(tables);
        self.progress.store(0, Ordering::Relaxed);
        // Others may have taken what was free.
        log.room = 0;
        self.queue.lock().full.extend(before.map(|segment| (table, segment)));
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until no full table is left.
    pub(super) fn wait_for_room(&self) -> Result<(), CommitError> {
        loop {
            self.check_not_failed("write")?;
            let mut queue = self.queue.lock();
            if queue.full.is_empty() {
                return Ok(());
            }
            if !self.options.in_background {
                drop(queue);
                self.give_away()?;
                continue;
            }
            if let Some(error) = &queue.refused {
                return Err(CommitError::NotWritten(error.clone()));
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Gives full tables to the storage below until this is closed.
    pub(super) fn serve(&self) {
        self.prepare();
        loop {
            let mut queue = self.queue.lock();
            while queue.full.is_empty() && !queue.is_closing {
                self.changed.wait(&mut queue);
            }
            if queue.is_closing || self.has_failed.load(Ordering::Acquire) {
                return;
            }
            drop(queue);
            if let Err(CommitError::NotWritten(_)) = self.give_away() {
                let mut queue = self.queue.lock();
                if !queue.is_closing {
                    self.changed.wait_for(&mut queue, RETRY);
                }
            }
        }
    }

    /// Makes the segment that will be needed next, so that nobody has to wait for it; if that fails, it is made when it is needed.
    fn prepare(&self) {
        let mut queue = self.queue.lock();
        if queue.spares.is_empty() {
            let (path, capacity) = queue.spares.next(0);
            drop(queue);
            if let Ok(segment) = Segment::make(path, capacity) {
                self.queue.lock().spares.add(segment);
            }
        }
    }

    /// Gives the oldest full table to the storage below.
    fn give_away(&self) -> Result<(), CommitError> {
        let queue = self.queue.lock();
        let marker = Marker { applied: queue.marker.applied + 1, ..queue.marker };
        let Some((table, _)) = queue.full.first() else { return Ok(()) };
        let (table, before) = (table.clone(), queue.marker);
        drop(queue);
        let given = self.give(&table, before, marker);
        let mut queue = self.queue.lock();
        match &given {
            Ok(()) => {
                let (_, segment) = queue.full.remove(0);
                (queue.marker, queue.refused) = (marker, None);
                self.tables.write().full.remove(0);
                self.checkpoints.fetch_add(1, Ordering::Relaxed);
                queue.spares.add(segment);
            }
            Err(CommitError::NotWritten(error)) => queue.refused = Some(error.clone()),
            Err(CommitError::Unknown(_)) => self.has_failed.store(true, Ordering::Release),
        }
        drop(queue);
        self.changed.notify_all();
        given
    }

    /// Writes a table to the storage below, in the order of its keys. That it has all of it is written with the last part.
    fn give(&self, table: &Table, before: Marker, after: Marker) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        for (start, end) in table.removed() {
            batch.delete_range(start, end);
        }
        if !batch.is_empty() {
            // The ranges may have held it.
            before.put(&mut batch);
        }
        let sorted = table.sorted();
        for (done, number) in sorted.iter().enumerate() {
            match table.nth(*number as usize) {
                Some((key, Says::Value(value))) => batch.put(key, &[value]),
                Some((key, _)) => batch.delete(key),
                None => {}
            }
            if batch.bytes() >= self.options.transaction_bytes {
                self.give_batch(&batch)?;
                batch.clear();
                self.progress.store(done * 100 / sorted.len().max(1), Ordering::Relaxed);
                if self.queue.lock().is_closing {
                    return Err(CommitError::NotWritten(StorageError::new(
                        "write",
                        "the store is being closed",
                    )));
                }
            }
        }
        after.put(&mut batch);
        self.give_batch(&batch)
    }

    fn give_batch(&self, batch: &Batch) -> Result<(), CommitError> {
        self.given.fetch_add(1, Ordering::AcqRel);
        let given = self.below.write(batch, Durability::Synced);
        self.given.fetch_add(1, Ordering::AcqRel);
        given
    }
}
impl Tables {
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.active).chain(self.full.iter().rev().map(|table| &**table))
    }

    /// What the newest that knows anything of it says of a key.
    pub(super) fn says(&self, key: &[u8]) -> Says<'_> {
        self.newest_first()
            .map(|table| table.says(key))
            .find(|says| *says != Says::Unknown)
            .unwrap_or(Says::Unknown)
    }

    pub(super) fn are_empty(&self) -> bool {
        self.active.is_empty() && self.full.is_empty()
    }
}
