//! A storage plug-in of another language: `Storage` behind a struct of C functions, and back. Whatever passes the conformance
//! suite has to pass it on this detour too, so nothing in the trait is beyond C.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
#![allow(unsafe_code)]

#[path = "../factory/mod.rs"]
mod factory;

mod vtable;

mod exported;
mod imported;

use std::sync::Arc;

use exported::export;
use factory::LmdbFactory;
use imported::ImportedStorage;
use kv_core::error::{Error, ErrorKind};
use kv_core::storage::Storage;
use kv_core::testing::storage::{MemoryFactory, MemoryStorage, StorageFactory, StoragePlace, conformance};

/// A factory whose stores take the detour through C.
#[derive(Debug)]
struct Detour<F>(F);

#[derive(Debug)]
struct DetourPlace(Box<dyn StoragePlace>);

impl<F: StorageFactory> StorageFactory for Detour<F> {
    fn place(&self) -> Box<dyn StoragePlace> {
        Box::new(DetourPlace(self.0.place()))
    }

    fn small_place(&self) -> Option<Box<dyn StoragePlace>> {
        Some(Box::new(DetourPlace(self.0.small_place()?)))
    }
}

impl StoragePlace for DetourPlace {
    fn open(&self) -> Result<Arc<dyn Storage>, Error> {
        Ok(Arc::new(ImportedStorage::new(export(self.0.open()?))?))
    }
}

#[test]
fn memory_behind_a_c_vtable_keeps_the_contract() {
    conformance(Arc::new(Detour(MemoryFactory))).assert();
}

#[test]
fn lmdb_behind_a_c_vtable_keeps_the_contract() {
    let report = conformance(Arc::new(Detour(LmdbFactory)));
    report.assert();
    assert_eq!(report.not_applicable(), Vec::<&str>::new());
}

#[test]
fn the_user_data_is_destroyed_once_whether_the_vtable_is_taken_or_refused() {
    let taken = Arc::new(MemoryStorage::new());
    let storage = ImportedStorage::new(export(taken.clone())).unwrap();
    assert_eq!(Arc::strong_count(&taken), 2);
    drop(storage);
    assert_eq!(Arc::strong_count(&taken), 1);

    let refused = Arc::new(MemoryStorage::new());
    let mut newer = export(refused.clone());
    newer.abi_version += 1;
    let mut shorter = export(refused.clone());
    shorter.struct_size -= 1;
    assert_eq!(Arc::strong_count(&refused), 3);
    for vtable in [newer, shorter] {
        let error = ImportedStorage::new(vtable).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert_eq!(Arc::strong_count(&refused), 1);
}
