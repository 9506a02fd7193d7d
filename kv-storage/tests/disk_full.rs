//! A store without room: every refused batch leaves what was there, and deletions or more room help.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod mount;

use std::fs;

use kv_core::storage::{Batch, CommitError, Durability, Storage};
use kv_storage::{LmdbOptions, LmdbStorage};
use mount::Mount;
use tempfile::tempdir;

const MIB: usize = 1 << 20;

fn put(storage: &LmdbStorage, number: u32, bytes: usize) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.put(&number.to_be_bytes(), &[&vec![number as u8; bytes]]);
    batch.put(b"latest", &[&number.to_be_bytes()]);
    storage.write(&batch, Durability::Synced)
}

/// Puts until there is no room, and returns how many batches were taken and the error.
fn fill(storage: &LmdbStorage) -> (u32, CommitError) {
    for number in 0.. {
        if let Err(error) = put(storage, number, 100_000) {
            return (number, error);
        }
    }
    unreachable!("there is always room")
}

fn assert_holds(storage: &LmdbStorage, batches: u32) {
    let mut value = Vec::new();
    for number in 0..batches {
        assert!(storage.get(&number.to_be_bytes(), &mut value).unwrap(), "batch {number}");
        assert_eq!(value, vec![number as u8; 100_000]);
    }
    assert!(!storage.get(&batches.to_be_bytes(), &mut value).unwrap(), "the refused batch");
    assert!(storage.get(b"latest", &mut value).unwrap());
    assert_eq!(value, (batches - 1).to_be_bytes());
    assert_eq!(storage.stats().unwrap().entries, u64::from(batches) + 1);
}

fn remove_all(storage: &LmdbStorage) {
    let mut batch = Batch::new();
    batch.delete_range(b"", b"");
    storage.write(&batch, Durability::Synced).unwrap();
}

#[test]
fn a_full_map_refuses_batches_until_there_is_room() {
    let place = tempdir().unwrap();
    let options = LmdbOptions { map_bytes: 4 * MIB, ..LmdbOptions::default() };
    let storage = LmdbStorage::open(place.path(), &options).unwrap();
    let (batches, error) = fill(&storage);
    assert!(matches!(error, CommitError::NotWritten(_)), "{error}");
    assert!(error.to_string().contains("MDB_MAP_FULL"), "{error}");
    assert_holds(&storage, batches);
    assert!(storage.stats().unwrap().bytes_free < Some(200_000));
    remove_all(&storage);
    let free = storage.stats().unwrap().bytes_free;
    assert!(
        free > Some(3 * MIB as u64),
        "what is removed is free, although the file keeps its size: {free:?}"
    );
    // LMDB gives pages out again one commit after the one that freed them.
    put(&storage, 0, 1).unwrap();
    remove_all(&storage);
    assert_holds_after_refilling(&storage);
    drop(storage);

    let more = LmdbOptions { map_bytes: 64 * MIB, ..LmdbOptions::default() };
    let storage = LmdbStorage::open(place.path(), &more).unwrap();
    put(&storage, 1_000, 10 * MIB).unwrap();
}

fn assert_holds_after_refilling(storage: &LmdbStorage) {
    let (batches, _) = fill(storage);
    assert_holds(storage, batches);
}

#[test]
fn the_reserve_of_the_disk_is_refused_before_the_disk_is_touched() {
    let test = "the_reserve_of_the_disk_is_refused_before_the_disk_is_touched";
    let Some(volume) = Mount::tmpfs(test, 8 * MIB) else { return };
    let options = LmdbOptions { reserve_bytes: 2 * MIB as u64, ..LmdbOptions::default() };
    let storage = LmdbStorage::open(volume.path(), &options).unwrap();
    let (batches, error) = fill(&storage);
    assert!(matches!(error, CommitError::NotWritten(_)), "{error}");
    assert!(error.to_string().contains("the disk is nearly full"), "{error}");
    assert!(batches > 40, "only {batches} batches of 100 kB fit");
    assert_holds(&storage, batches);
    let stats = storage.stats().unwrap();
    assert!(stats.bytes_used > 4 * MIB as u64 && stats.bytes_free < Some(200_000), "{stats:?}");
    drop(storage);
    let storage = LmdbStorage::open(volume.path(), &options).unwrap();
    assert_holds(&storage, batches);
}

/// Without a reserve the disk itself says so, as ENOSPC, or as a short write, which LMDB turns into EIO.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let Some(volume) = Mount::tmpfs("a_full_disk_loses_nothing_that_was_acknowledged", 8 * MIB) else {
        return;
    };
    let ballast = volume.path().join("ballast");
    let options = LmdbOptions { reserve_bytes: 0, ..LmdbOptions::default() };
    let storage = LmdbStorage::open(volume.path().join("store"), &options).unwrap();
    for number in 0..10 {
        put(&storage, number, 100_000).unwrap();
    }
    // The batch's own bytes fit exactly, with the header of a page they do not.
    let room = 25 * 4_096;
    fs::write(&ballast, vec![1; volume.bytes_free() - room]).unwrap();
    let error = put(&storage, 10, room - 14).unwrap_err();
    println!("{error}");
    assert!(!error.to_string().contains("nearly full"), "refused beforehand: {error}");
    assert_holds(&storage, 10);
    fs::remove_file(&ballast).unwrap();
    match error {
        CommitError::NotWritten(_) => put(&storage, 10, 100_000).unwrap(),
        CommitError::Unknown(_) => {
            let again = put(&storage, 10, 100_000).unwrap_err();
            assert!(matches!(again, CommitError::Unknown(_)), "{again}");
            drop(storage);
            let storage = LmdbStorage::open(volume.path().join("store"), &options).unwrap();
            assert_holds(&storage, 10);
            put(&storage, 10, 100_000).unwrap();
        }
    }
}
