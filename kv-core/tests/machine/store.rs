use std::sync::Mutex;

use kv_core::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};
use kv_core::testing::storage::MemoryStorage;

/// How the next commits fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is stored, and the store says so.
    NotWritten,
    /// The batch is stored, and the store cannot say so.
    UnknownButWritten,
}

/// A store in memory whose commits fail on demand.
#[derive(Debug, Default)]
pub(crate) struct FaultyStore {
    inner: MemoryStorage,
    faults: Mutex<Vec<Fault>>,
    puts: Mutex<usize>,
    is_unreadable: Mutex<bool>,
    bytes_free: Mutex<Option<u64>>,
}

impl FaultyStore {
    /// Lets the next commit fail.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    /// Lets every read fail, or none.
    pub(crate) fn fail_reads(&self, fail: bool) {
        *self.is_unreadable.lock().unwrap() = fail;
    }

    /// Lets the store have that many bytes free.
    pub(crate) fn set_free(&self, bytes: u64) {
        *self.bytes_free.lock().unwrap() = Some(bytes);
    }

    fn is_readable(&self) -> Result<(), StorageError> {
        match *self.is_unreadable.lock().unwrap() {
            true => Err(StorageError::new("read", "the device failed")),
            false => Ok(()),
        }
    }

    /// Records that were put so far, metadata of the store left out.
    pub(crate) fn record_puts(&self) -> usize {
        *self.puts.lock().unwrap()
    }
}

impl Storage for FaultyStore {
    fn capabilities(&self) -> StorageCapabilities {
        // It outlives the processes of a test.
        StorageCapabilities { durable: true, ..self.inner.capabilities() }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.is_readable()?;
        self.inner.get(key, value)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        self.is_readable()?;
        self.inner.get_many(keys, visit)
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        self.inner.scan(range, page)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let fault = self.faults.lock().unwrap().pop();
        if fault == Some(Fault::NotWritten) {
            return Err(CommitError::NotWritten(StorageError::new("write", "no space")));
        }
        self.inner.write(batch, durability)?;
        let record = |change: &Change<'_>| matches!(change, Change::Put { key, .. } if key[..4] != [0; 4]);
        *self.puts.lock().unwrap() += batch.changes().filter(record).count();
        match fault {
            Some(_) => Err(CommitError::Unknown(StorageError::new("write", "the device failed"))),
            None => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.inner.sync()
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let bytes_free = *self.bytes_free.lock().unwrap();
        self.inner.stats().map(|stats| StorageStats { bytes_free, ..stats })
    }
}
