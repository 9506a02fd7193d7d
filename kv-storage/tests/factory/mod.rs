//! Places for LMDB stores in temporary directories.

use std::sync::Arc;

use kv_core::error::Error;
use kv_core::storage::Storage;
use kv_core::testing::storage::{StorageFactory, StoragePlace};
use kv_storage::{LmdbOptions, LmdbStorage};
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) struct LmdbFactory;

#[derive(Debug)]
struct LmdbPlace {
    directory: TempDir,
    options: LmdbOptions,
}

impl StorageFactory for LmdbFactory {
    fn place(&self) -> Box<dyn StoragePlace> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Box::new(LmdbPlace { directory, options: LmdbOptions::default() })
    }

    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = LmdbOptions { map_bytes: 8 << 20, ..LmdbOptions::default() };
        Some(Box::new(LmdbPlace { directory, options }))
    }
}

impl StoragePlace for LmdbPlace {
    fn open(&self) -> Result<Arc<dyn Storage>, Error> {
        Ok(Arc::new(LmdbStorage::open(self.directory.path(), &self.options)?))
    }
}
