//! Places for stores in temporary directories.

use std::sync::Arc;

use kv_core::error::Error;
use kv_core::storage::Storage;
use kv_core::testing::storage::{StorageFactory, StoragePlace};
use kv_storage::{LmdbOptions, LmdbStorage, LogOptions, logged};
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

/// LMDB behind a log.
#[derive(Debug)]
#[allow(dead_code, reason = "not every test that uses this module needs it")]
pub(crate) struct LoggedFactory(pub(crate) LogOptions);

#[derive(Debug)]
struct LoggedPlace {
    below: LmdbPlace,
    options: LogOptions,
}

impl StorageFactory for LoggedFactory {
    fn place(&self) -> Box<dyn StoragePlace> {
        let below = LmdbPlace {
            directory: tempfile::tempdir().expect("a directory"),
            options: LmdbOptions::default(),
        };
        Box::new(LoggedPlace { below, options: self.0.clone() })
    }

    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        let options = LmdbOptions { map_bytes: 8 << 20, ..LmdbOptions::default() };
        let below = LmdbPlace { directory: tempfile::tempdir().expect("a directory"), options };
        Some(Box::new(LoggedPlace { below, options: self.0.clone() }))
    }
}

impl StoragePlace for LoggedPlace {
    fn open(&self) -> Result<Arc<dyn Storage>, Error> {
        logged(self.below.open()?, self.below.directory.path().join("log"), &self.options)
    }
}
