use std::fmt::Debug;
use std::sync::Arc;

use super::MemoryStorage;
use crate::error::Error;
use crate::storage::Storage;

/// Where the suite gets its stores from.
pub trait StorageFactory: Debug + Send + Sync + 'static {
    /// An empty place for a store, unlike any before: a temporary directory, say.
    fn place(&self) -> Box<dyn StoragePlace>;

    /// A place for a store that has room for some MiB but not for a batch of 64 MiB, which it refuses with `NotWritten`.
    /// `None` if the engine cannot be made to run full; the case of `S-08` is then not run.
    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        None
    }
}

/// A place that holds at most one store. Dropping it removes what is there.
pub trait StoragePlace: Debug + Send + Sync {
    /// Opens the store of this place; the first time it is empty.
    ///
    /// # Errors
    ///
    /// What the engine says; it has to refuse while the store of this place is open (`S-10`).
    fn open(&self) -> Result<Arc<dyn Storage>, Error>;
}

/// Places for [`MemoryStorage`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryFactory;

#[derive(Debug)]
struct MemoryPlace {
    bytes_max: u64,
}

impl StorageFactory for MemoryFactory {
    fn place(&self) -> Box<dyn StoragePlace> {
        Box::new(MemoryPlace { bytes_max: u64::MAX })
    }

    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        Some(Box::new(MemoryPlace { bytes_max: 8 << 20 }))
    }
}

impl StoragePlace for MemoryPlace {
    fn open(&self) -> Result<Arc<dyn Storage>, Error> {
        Ok(Arc::new(MemoryStorage::with_bytes_max(self.bytes_max)))
    }
}
