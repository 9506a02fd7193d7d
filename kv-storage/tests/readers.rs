//! Slots of reading threads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::thread;

use kv_core::storage::{Batch, Durability, Storage};
use kv_storage::{LmdbOptions, LmdbStorage};
use tempfile::{TempDir, tempdir};

fn store(readers_max: u32) -> (LmdbStorage, TempDir) {
    let place = tempdir().unwrap();
    let options = LmdbOptions { readers_max, ..LmdbOptions::default() };
    let storage = LmdbStorage::open(place.path(), &options).unwrap();
    let mut batch = Batch::new();
    batch.put(b"key", &[b"value"]);
    storage.write(&batch, Durability::Synced).unwrap();
    (storage, place)
}

#[test]
fn one_reader_too_many_gets_an_error_that_says_what_to_do() {
    let (storage, _place) = store(1);
    let mut refused = None;
    storage
        .get_many(&[b"key"], &mut |_, _| {
            // This thread has the only slot.
            let other = thread::scope(|scope| scope.spawn(|| storage.get(b"key", &mut Vec::new())).join());
            refused = Some(other.unwrap());
        })
        .unwrap();
    let error = refused.unwrap().unwrap_err().to_string();
    assert!(error.contains("readers_max"), "{error}");
}

#[test]
fn a_thread_gives_its_slot_back_when_it_ends() {
    let (storage, _place) = store(2);
    for _ in 0..20 {
        let other = thread::scope(|scope| scope.spawn(|| storage.get(b"key", &mut Vec::new())).join());
        assert!(other.unwrap().unwrap());
    }
}
