use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kv_core::error::Error;
use kv_core::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};
use parking_lot::{Condvar, Mutex, RwLock};

use super::LogOptions;
use super::log::{AppendError, Log};
use super::marker::{self, Marker};
use super::open::{Opened, SEGMENT_BYTES_MAX, open};
use super::record;
use super::segment::{self, Segment};
use super::spares::Spares;
use super::table::{Says, Table};
use crate::lock::DirectoryLock;

/// After so many changed keys their share of new ones is estimated instead of counted.
const COUNTED: usize = 1_024;
/// A storage below takes up to so many times the bytes of what it is given.
const PAGES_PER_ENTRY: u64 = 2;
/// How often what changes meanwhile is counted again.
const COUNT_TRIES: usize = 3;
/// How long a storage below that has no room is left alone.
const RETRY: Duration = Duration::from_millis(200);
/// How long a batch is held up for each part in a hundred by which the table that is filled is ahead of the one that is given away.
const PACE: Duration = Duration::from_micros(50);

/// A commit log and a memory table before another storage.
///
/// A batch is appended to the log with one write and, if it is to be synced, one synchronisation; it is kept in a table in memory, where reads
/// find it; and it reaches the storage below when the table is full, with everything else in the table, in the order of the keys and
/// in large synced transactions. While that happens the next table is filled, and batches are held up a little if that goes
/// faster than the other. So a storage that pays for random durable writes, as B+trees do, is written to in its best way.
///
/// # What is on disk
///
/// Files of [`LogOptions::segment_bytes`] each, filled with zeros when they are made and written over later, so that appending changes nothing of the file
/// system's own. A segment's header names the log, its number and where the segment before it ends; each record has a checksum, keyed by the
/// segment, over its batch, the checksum of the record before it, and how much of the segment was durable when it was written. The storage
/// below has an entry that names the log and the last segment of which it has everything (written with the last of it), so
/// that neither is ever used with another's counterpart.
///
/// When a log is opened, the segments behind that one are read. A record that is not whole ends the log, if it is in the last segment and no later record says that it
/// was durable; otherwise the log is damaged, and is not opened.
///
/// # Errors
///
/// A log that has no room, or a storage below that refuses what is in a full table for want of room, makes writes fail with
/// [`CommitError::NotWritten`] until there is room; everything that was acknowledged stays in the log. Any other failure of either is [`CommitError::Unknown`].
#[derive(Debug)]
pub struct LoggedStorage {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    below: Arc<dyn Storage>,
    options: LogOptions,
    /// Whoever writes; locked before anything else.
    log: Mutex<Log>,
    tables: RwLock<Tables>,
    /// What has yet to be given to the storage below.
    queue: Mutex<Queue>,
    changed: Condvar,
    has_failed: AtomicBool,
    /// Parts in a hundred of the oldest full table that the storage below has.
    progress: AtomicUsize,
    batches: AtomicU64,
    /// Transactions that the storage below was given, counted when they begin and when they end.
    given: AtomicU64,
    checkpoints: AtomicU64,
    _lock: DirectoryLock,
}

/// What reads look through.
#[derive(Debug)]
struct Tables {
    active: Table,
    /// Full ones, the oldest first.
    full: Vec<Arc<Table>>,
}

#[derive(Debug)]
struct Queue {
    /// Full tables with their segments, the oldest first: those of `Tables::full`.
    full: Vec<(Arc<Table>, Segment)>,
    spares: Spares,
    marker: Marker,
    /// Why the storage below did not take the oldest, if it did not.
    refused: Option<StorageError>,
    is_closing: bool,
}

/// Puts a commit log and a memory table before a storage: see [`LoggedStorage`]. `directory` is the log's own; it is made if it is missing.
///
/// # Errors
///
/// Those of [`LoggedStorage::open`].
pub fn logged(
    below: Arc<dyn Storage>,
    directory: impl AsRef<Path>,
    options: &LogOptions,
) -> Result<Arc<dyn Storage>, Error> {
    Ok(Arc::new(LoggedStorage::open(below, directory, options)?))
}

impl LoggedStorage {
    /// Opens the log in `directory` that belongs to `below`, or makes it.
    ///
    /// # Errors
    ///
    /// `StorageUnusable` if the directory cannot be used, is in use, or holds the log of another store; `StorageDamaged` if something that was durable
    /// is not there any more; `InvalidConfiguration` if an option is out of range. Nothing that was there is changed then.
    pub fn open(
        below: Arc<dyn Storage>,
        directory: impl AsRef<Path>,
        options: &LogOptions,
    ) -> Result<Self, Error> {
        let Opened { log, marker, active, older, spares, lock } = open(&*below, directory.as_ref(), options)?;
        let full: Vec<_> = older.into_iter().map(|(table, segment)| (Arc::new(table), segment)).collect();
        let tables = Tables { active, full: full.iter().map(|(table, _)| table.clone()).collect() };
        let inner = Arc::new(Inner {
            below,
            options: options.clone(),
            log: Mutex::new(log),
            tables: RwLock::new(tables),
            queue: Mutex::new(Queue { full, spares, marker, refused: None, is_closing: false }),
            changed: Condvar::new(),
            has_failed: AtomicBool::new(false),
            progress: AtomicUsize::new(0),
            batches: AtomicU64::new(0),
            given: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            _lock: lock,
        });
        let thread = if options.in_background {
            let inner = inner.clone();
            let spawned = thread::Builder::new().name("kv-checkpoint".into()).spawn(move || inner.serve());
            Some(spawned.map_err(|error| {
                crate::errors::unusable("cannot start a thread".into()).with_source(error)
            })?)
        } else {
            None
        };
        Ok(LoggedStorage { inner, thread })
    }

    /// Gives everything to the storage below and begins a new segment. Not needed before closing: the log has everything.
    ///
    /// # Errors
    ///
    /// Those of [`Storage::write`].
    pub fn checkpoint(&self) -> Result<(), CommitError> {
        let mut log = self.inner.log.lock();
        self.inner.check_not_failed("checkpoint")?;
        if !self.inner.tables.read().active.is_empty() {
            self.inner.begin_segment(&mut log, 0)?;
        }
        self.inner.wait_for_room()
    }

    /// Tables that the storage below has taken since this was opened.
    pub fn checkpoints(&self) -> u64 {
        self.inner.checkpoints.load(Ordering::Relaxed)
    }
}

impl Drop for LoggedStorage {
    fn drop(&mut self) {
        self.inner.queue.lock().is_closing = true;
        self.inner.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            thread.join().ok();
        }
    }
}

impl Inner {
    fn check_not_failed(&self, operation: &'static str) -> Result<(), CommitError> {
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

    fn fail(&self, error: StorageError) -> CommitError {
        self.has_failed.store(true, Ordering::Release);
        CommitError::Unknown(error)
    }

    fn io_error(&self, error: std::io::Error) -> CommitError {
        let is_full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
        let error = StorageError::from_source("write", error);
        if is_full { CommitError::NotWritten(error) } else { self.fail(error) }
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
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
    fn begin_segment(&self, log: &mut Log, bytes: usize) -> Result<(), CommitError> {
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
    fn wait_for_room(&self) -> Result<(), CommitError> {
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
    fn serve(&self) {
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

    /// Figures of the storage below, and how many more entries there are than it counts; roughly while it is being given something all the time.
    fn counted(&self) -> Result<(StorageStats, i64), StorageError> {
        let mut tries = COUNT_TRIES;
        loop {
            let before = self.given.load(Ordering::Acquire);
            let counted = (self.below.stats()?, self.more_than_below()?);
            tries -= 1;
            if tries == 0 || (before.is_multiple_of(2) && before == self.given.load(Ordering::Acquire)) {
                return Ok(counted);
            }
            thread::yield_now();
        }
    }

    /// How many more entries there are than below: counted if few keys were changed, otherwise estimated from some of them.
    fn more_than_below(&self) -> Result<i64, StorageError> {
        let tables = self.tables.read();
        let mut value = Vec::new();
        let mut more = 0;
        for (age, table) in tables.newest_first().enumerate() {
            let step = table.len().div_ceil(COUNTED).max(1);
            let mut found = 0;
            for number in (0..table.len()).step_by(step) {
                let Some((key, _)) = table.nth(number) else { continue };
                if tables.newest_first().take(age).any(|newer| newer.has(key)) {
                    continue;
                }
                let says = tables.says(key);
                let is_below = self.below.get(key, &mut value)?;
                found += i64::from(matches!(says, Says::Value(_))) - i64::from(is_below);
            }
            more += found * step as i64;
        }
        // What was removed as a range, and not changed since.
        let mut left = COUNTED;
        for (age, table) in tables.newest_first().enumerate() {
            for (start, end) in table.removed() {
                let mut page = Page::new(left.max(1), usize::MAX);
                self.below.scan(ScanRange::new(start, end), &mut page)?;
                let is_counted = |key: &[u8]| {
                    key == marker::KEY
                        || tables.newest_first().any(|table| table.has(key))
                        || tables.newest_first().take(age).any(|newer| newer.says(key) != Says::Unknown)
                };
                let gone = page.entries().filter(|(key, _)| !is_counted(key));
                more -= gone.count() as i64;
                left -= page.entries().len().min(left);
            }
        }
        Ok(more)
    }
}

impl Tables {
    fn newest_first(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.active).chain(self.full.iter().rev().map(|table| &**table))
    }

    /// What the newest that knows anything of it says of a key.
    fn says(&self, key: &[u8]) -> Says<'_> {
        self.newest_first()
            .map(|table| table.says(key))
            .find(|says| *says != Says::Unknown)
            .unwrap_or(Says::Unknown)
    }

    fn are_empty(&self) -> bool {
        self.active.is_empty() && self.full.is_empty()
    }
}

impl Storage for LoggedStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities { durable: true, writes_may_block: true, ..self.inner.below.capabilities() }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        let tables = self.inner.tables.read();
        match tables.says(key) {
            Says::Value(found) => {
                value.clear();
                value.extend_from_slice(found);
                return Ok(true);
            }
            Says::Nothing => {
                value.clear();
                return Ok(false);
            }
            Says::Unknown => drop(tables),
        }
        if key == marker::KEY {
            value.clear();
            return Ok(false);
        }
        // What is in no table was given away before, or never written: the storage below knows.
        self.inner.below.get(key, value)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        // Held throughout: no other table is begun, and what is given away meanwhile is what is in these.
        let tables = self.inner.tables.read();
        if tables.are_empty() {
            return self.inner.below.get_many(keys, &mut |index, value| {
                visit(index, value.filter(|_| keys.get(index) != Some(&marker::KEY)));
            });
        }
        let known: Vec<Says<'_>> = keys.iter().map(|key| tables.says(key)).collect();
        if !known.contains(&Says::Unknown) {
            for (index, says) in known.iter().enumerate() {
                visit(index, if let Says::Value(value) = says { Some(value) } else { None });
            }
            return Ok(());
        }
        self.inner.below.get_many(keys, &mut |index, below| match known.get(index) {
            Some(Says::Value(value)) => visit(index, Some(value)),
            Some(Says::Nothing) => visit(index, None),
            _ => visit(index, below.filter(|_| keys.get(index) != Some(&marker::KEY))),
        })
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        let tables = self.inner.tables.read();
        super::scan::scan(&*self.inner.below, tables.newest_first(), range, page)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        if batch.is_empty() {
            return self.inner.check_not_failed("write");
        }
        self.inner.write(batch, durability)
    }

    fn sync(&self) -> Result<(), CommitError> {
        let mut log = self.inner.log.lock();
        self.inner.check_not_failed("sync")?;
        log.sync().map_err(|error| self.inner.fail(StorageError::from_source("sync", error)))
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let (below, more) = self.inner.counted()?;
        let (syncs, mut on_device) = {
            let log = self.inner.log.lock();
            (log.syncs, log.bytes())
        };
        {
            let queue = self.inner.queue.lock();
            on_device += queue.spares.bytes()
                + queue.full.iter().map(|(_, segment)| segment.capacity as u64).sum::<u64>();
        }
        let waiting: usize = {
            let tables = self.inner.tables.read();
            tables.newest_first().map(Table::bytes).sum()
        };
        Ok(StorageStats {
            // The one more is the marker.
            entries: below.entries.saturating_add_signed(more - 1),
            bytes_used: below.bytes_used + on_device,
            bytes_free: below.bytes_free.map(|free| free.saturating_sub(waiting as u64)),
            syncs: below.syncs + syncs,
            batches: self.inner.batches.load(Ordering::Relaxed),
        })
    }
}
