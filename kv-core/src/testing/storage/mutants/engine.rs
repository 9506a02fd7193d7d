use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use super::super::{MemoryStorage, StorageFactory, StoragePlace};
use super::fault::Fault;
use crate::error::{Error, ErrorKind};
use crate::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};

/// Places for engines with one fault.
#[derive(Debug)]
pub(super) struct MutantFactory {
    pub(super) fault: Fault,
}

/// What outlives the engine: it plays the disk, so that the cases for durable engines run.
#[derive(Debug)]
struct Disk {
    fault: Fault,
    memory: MemoryStorage,
    is_open: AtomicBool,
}

impl StorageFactory for MutantFactory {
    fn place(&self) -> Box<dyn StoragePlace> {
        self.place_of(u64::MAX)
    }

    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        Some(self.place_of(8 << 20))
    }
}

impl MutantFactory {
    fn place_of(&self, bytes_max: u64) -> Box<dyn StoragePlace> {
        let memory = MemoryStorage::with_bytes_max(bytes_max);
        Box::new(Arc::new(Disk { fault: self.fault, memory, is_open: AtomicBool::new(false) }))
    }
}

impl StoragePlace for Arc<Disk> {
    fn open(&self) -> Result<Arc<dyn Storage>, Error> {
        if self.is_open.swap(true, Ordering::SeqCst) && self.fault != Fault::NoOwner {
            return Err(Error::new(ErrorKind::StorageUnusable, "open already"));
        }
        Ok(Arc::new(Mutant::new(Arc::clone(self))))
    }
}

/// What each thread read under each key.
type ReadBefore = HashMap<(ThreadId, Vec<u8>), Vec<u8>>;

#[derive(Debug)]
struct Mutant {
    disk: Arc<Disk>,
    reads: AtomicU64,
    writes: AtomicU64,
    puts: AtomicU64,
    is_writing: AtomicBool,
    is_full: AtomicBool,
    writer: Mutex<Option<ThreadId>>,
    last: Mutex<Batch>,
    read_before: Mutex<ReadBefore>,
}

impl Drop for Mutant {
    fn drop(&mut self) {
        let last = self.last.lock().unwrap();
        if self.disk.fault == Fault::LosesPartOnClose
            && last.len() > 1
            && let Some(Change::Put { key, .. }) = last.changes().next()
        {
            self.apply(&batch_of(|batch| batch.delete(key))).unwrap();
        }
        self.disk.is_open.store(self.disk.fault == Fault::LockedForEver, Ordering::SeqCst);
    }
}

impl Mutant {
    fn new(disk: Arc<Disk>) -> Self {
        Mutant {
            disk,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            puts: AtomicU64::new(0),
            is_writing: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            writer: Mutex::default(),
            last: Mutex::default(),
            read_before: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.disk.fault == fault
    }

    fn apply(&self, batch: &Batch) -> Result<(), CommitError> {
        self.disk.memory.write(batch, Durability::Buffered)
    }

    /// The batch as the faulty engine understands it.
    fn distorted(&self, batch: &Batch) -> Batch {
        let mut changes: Vec<Change<'_>> = batch.changes().collect();
        if self.has(Fault::BatchReversed) {
            changes.reverse();
        }
        if self.has(Fault::DeleteRangeFirst) {
            changes.sort_by_key(|change| !matches!(change, Change::DeleteRange { .. }));
        }
        batch_of(|distorted| changes.into_iter().for_each(|change| self.add(distorted, change)))
    }

    fn add(&self, batch: &mut Batch, change: Change<'_>) {
        match change {
            Change::Put { key, value } if self.has(Fault::LargeValueCut) => {
                batch.put(key, &[&value[..value.len().min(8 << 20)]]);
            }
            Change::Put { key, value } if self.has(Fault::LongKeyCut) => {
                batch.put(&key[..key.len().min(self.capabilities().key_bytes_max)], &[value]);
            }
            Change::Put { key, value } => batch.put(key, &[value]),
            Change::Delete { key } => batch.delete(key),
            Change::DeleteRange { start, end } => {
                if !(end.is_empty() && self.has(Fault::DeleteRangeNeedsEnd)) {
                    let start =
                        [start, if self.has(Fault::DeleteRangeKeepsStart) { b"\0" } else { b"" }].concat();
                    batch.delete_range(&start, end);
                }
                if self.has(Fault::DeleteRangeIncludesEnd) && !end.is_empty() && start < end {
                    batch.delete(end);
                }
            }
        }
    }

    /// Leaves a part of a batch that was refused.
    fn leave_part(&self, batch: &Batch) {
        let full = batch.bytes() > 8 << 20;
        if self.has(Fault::RefusedBatchLeavesPart) || (full && self.has(Fault::FullBatchLeavesPart)) {
            let first = batch_of(|part| batch.changes().take(1).for_each(|change| self.add(part, change)));
            // The first change may be the one that was refused.
            self.apply(&first).ok();
        }
        self.is_full.store(full && self.has(Fault::StopsWhenFull), Ordering::SeqCst);
    }

    /// Lets other threads run until `counter` has moved on, or long enough for those that do not run at all.
    fn wait_for(counter: &AtomicU64) {
        let enough = counter.load(Ordering::SeqCst) + 20;
        for _ in 0..2_000 {
            if counter.load(Ordering::SeqCst) >= enough {
                return;
            }
            thread::yield_now();
        }
    }
}

fn batch_of(fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}

impl Storage for Mutant {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities { durable: true, ..self.disk.memory.capabilities() }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let before = value.clone();
        let found = self.disk.memory.get(key, value)?;
        if self.has(Fault::GetAppends) {
            value.splice(0..0, before);
        }
        let reader = thread::current().id();
        if self.has(Fault::StaleReads) && *self.writer.lock().unwrap() != Some(reader) {
            let mut read_before = self.read_before.lock().unwrap();
            *value = read_before.entry((reader, key.into())).or_insert_with(|| value.clone()).clone();
        }
        Ok(found)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.disk.fault {
            Fault::GetManyOfTwoStates => {
                for (index, key) in keys.iter().enumerate() {
                    self.disk.memory.get_many(&[key], &mut |_, value| visit(index, value))?;
                    Self::wait_for(&self.writes);
                }
                Ok(())
            }
            Fault::GetManySkipsAbsent => self.disk.memory.get_many(keys, &mut |index, value| {
                if value.is_some() {
                    visit(index, value);
                }
            }),
            Fault::GetManyReversed => {
                let reversed: Vec<&[u8]> = keys.iter().rev().copied().collect();
                self.disk.memory.get_many(&reversed, &mut |index, value| visit(keys.len() - 1 - index, value))
            }
            _ => self.disk.memory.get_many(keys, visit),
        }
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        if self.has(Fault::ReadsFailBesideWriter) && self.is_writing.load(Ordering::SeqCst) {
            return Err(StorageError::new("scan", "a batch is being written"));
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut all = Page::new(usize::MAX, usize::MAX);
        let end = match range.end {
            end if self.has(Fault::ScanIncludesEnd) && !end.is_empty() => &[end, b"\0"].concat(),
            end => end,
        };
        self.disk.memory.scan(ScanRange { end, ..range }, &mut all)?;
        let mut entries: Vec<_> = all.entries().collect();
        let repeated = range.after.map(|after| (after, &b""[..]));
        match self.disk.fault {
            Fault::ScanSkipsOne if range.after.is_some() && !entries.is_empty() => drop(entries.remove(0)),
            Fault::ScanRepeatsOne => entries.splice(0..0, repeated).for_each(drop),
            Fault::ScanDescends => entries.reverse(),
            _ => {}
        }
        for (key, value) in entries {
            if !page.push(key, value) && !self.has(Fault::ScanOverfillsPage) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, _: Durability) -> Result<(), CommitError> {
        let refuse = |message| Err(CommitError::NotWritten(StorageError::new("write", message)));
        let writer = *self.writer.lock().unwrap().get_or_insert(thread::current().id());
        if self.has(Fault::WriterBoundToThread) && writer != thread::current().id() {
            return refuse("another thread wrote before");
        }
        if self.is_full.load(Ordering::SeqCst) {
            return refuse("full");
        }
        self.is_writing.store(true, Ordering::SeqCst);
        if self.has(Fault::ReadsFailBesideWriter) {
            Self::wait_for(&self.reads);
        }
        let distorted = self.distorted(batch);
        if self.has(Fault::HalfABatchVisible) && batch.len() > 1 {
            let half = batch_of(|half| {
                distorted.changes().take(batch.len() / 2).for_each(|change| self.add(half, change))
            });
            if batch.bytes() < 1 << 10 && self.apply(&half).is_ok() {
                Self::wait_for(&self.reads);
            }
        }
        let result = self.apply(&distorted);
        if result.is_ok() {
            let puts = batch.changes().filter(|change| matches!(change, Change::Put { .. })).count();
            self.puts.fetch_add(puts as u64, Ordering::SeqCst);
            *self.last.lock().unwrap() = batch.clone();
        } else {
            self.leave_part(batch);
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.is_writing.store(false, Ordering::SeqCst);
        result
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.disk.memory.sync()
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let stats = self.disk.memory.stats()?;
        let entries = match self.disk.fault {
            Fault::CountsPuts => self.puts.load(Ordering::SeqCst),
            Fault::CountsRoughly => stats.entries.next_multiple_of(8),
            _ => stats.entries,
        };
        Ok(StorageStats { entries, ..stats })
    }
}
