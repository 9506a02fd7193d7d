use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use kv_core::error::Error;
use kv_core::storage::{
    Batch, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError, StorageStats,
};
use parking_lot::{Condvar, Mutex, RwLock};

use super::LogOptions;
use super::inner::{Inner, Queue, Tables};
use super::marker;
use super::open::{Opened, open};
use super::table::{Says, Table};

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

/// Puts a commit log and a memory table before a storage: see [`LoggedStorage`]. `directory` is the log's own; it is made if it is missing.
///
/// ```
/// use std::sync::Arc;
///
/// use kv_core::storage::{Batch, Durability, Storage};
/// use kv_storage::{LmdbOptions, LmdbStorage, LogOptions, logged};
///
/// # fn main() -> Result<(), kv_core::error::Error> {
/// # let parent = tempfile::tempdir().expect("a temporary directory");
/// # let (data, log) = (parent.path().join("data"), parent.path().join("log"));
/// let below = Arc::new(LmdbStorage::open(data, &LmdbOptions::default())?);
/// let storage: Arc<dyn Storage> = logged(below, log, &LogOptions::default())?;
/// let mut batch = Batch::new();
/// batch.put(b"key", &[b"value"]);
/// storage.write(&batch, Durability::Synced)?;
/// # Ok(())
/// # }
/// ```
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
