use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::{
    Batch, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError, StorageStats,
};
use crate::testing::simulation::plan::Rates;
use crate::testing::simulation::random::Random;

/// A storage that fails at random, over one that does not.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    inner: Arc<dyn Storage>,
    random: Mutex<Random>,
    read_error: AtomicU32,
    not_written: AtomicU32,
    commit_unknown: AtomicU32,
    failures: AtomicU32,
    is_full: AtomicBool,
    is_nearly_full: AtomicBool,
}

impl FaultyDisk {
    pub(super) fn new(inner: Arc<dyn Storage>, seed: u64) -> Self {
        FaultyDisk {
            inner,
            random: Mutex::new(Random::seeded(seed)),
            read_error: AtomicU32::new(0),
            not_written: AtomicU32::new(0),
            commit_unknown: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            is_full: AtomicBool::new(false),
            is_nearly_full: AtomicBool::new(false),
        }
    }

    /// Sets how often the storage fails, in millionths, `times` what the plan says.
    pub(super) fn fail(&self, rates: &Rates, times: u32) {
        let most = |rate: u32| (rate * times).min(500_000);
        self.read_error.store(most(rates.read_error), Ordering::Relaxed);
        self.not_written.store(most(rates.not_written), Ordering::Relaxed);
        self.commit_unknown.store(most(rates.commit_unknown), Ordering::Relaxed);
    }

    /// There is space again.
    pub(super) fn has_space(&self) {
        self.is_full(false);
        self.is_nearly_full(false);
    }

    /// Whether nothing more can be written.
    pub(super) fn is_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Whether what can still be written is to be left to the node itself.
    pub(super) fn is_nearly_full(&self, is_nearly_full: bool) {
        self.is_nearly_full.store(is_nearly_full, Ordering::Relaxed);
    }

    /// Bytes that can still be written, where that is known: it is asked for with every batch, and the storage below may have to count.
    pub(super) fn bytes_free(&self) -> Option<u64> {
        self.is_nearly_full.load(Ordering::Relaxed).then_some(0)
    }

    /// The storage below, which does not fail.
    pub(super) fn inner(&self) -> &Arc<dyn Storage> {
        &self.inner
    }

    /// How often it failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Flips one bit of what is stored under `key`, if anything is.
    pub(super) fn flip(&self, key: &[u8], bit: u64) -> bool {
        let mut value = Vec::new();
        if !matches!(self.inner.get(key, &mut value), Ok(true)) || value.is_empty() {
            return false;
        }
        let bit = bit % (value.len() as u64 * 8);
        value[(bit / 8) as usize] ^= 1 << (bit % 8);
        let mut batch = Batch::new();
        batch.put(key, &[&value]);
        self.inner.write(&batch, Durability::Synced).is_ok()
    }

    fn happens(&self, rate: &AtomicU32) -> bool {
        let rate = rate.load(Ordering::Relaxed);
        let happens = rate > 0 && self.random.lock().unwrap_or_else(PoisonError::into_inner).chance(rate);
        self.failures.fetch_add(u32::from(happens), Ordering::Relaxed);
        happens
    }

    fn check_read(&self) -> Result<(), StorageError> {
        if self.happens(&self.read_error) {
            return Err(StorageError::new("read", "simulated"));
        }
        Ok(())
    }
}

impl Storage for FaultyDisk {
    fn capabilities(&self) -> StorageCapabilities {
        // It outlives the processes.
        StorageCapabilities { durable: true, ..self.inner.capabilities() }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.check_read()?;
        self.inner.get(key, value)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        self.check_read()?;
        self.inner.get_many(keys, visit)
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        self.check_read()?;
        self.inner.scan(range, page)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let error = || StorageError::new("write", "simulated");
        if self.is_full.load(Ordering::Relaxed) || self.happens(&self.not_written) {
            return Err(CommitError::NotWritten(error()));
        }
        if self.happens(&self.commit_unknown) {
            if self.random.lock().unwrap_or_else(PoisonError::into_inner).coin() {
                self.inner.write(batch, durability)?;
            }
            return Err(CommitError::Unknown(error()));
        }
        self.inner.write(batch, durability)
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.inner.sync()
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        self.inner.stats()
    }
}
