//! The commit log: what it keeps, and what it refuses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use kv_core::error::ErrorKind;
use kv_core::storage::{Batch, CommitError, Durability, MemoryStorage, Page, ScanRange, Storage};
use kv_storage::{LogOptions, LoggedStorage};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use tempfile::TempDir;

const SMALL: LogOptions =
    LogOptions { segment_bytes: 16 << 10, transaction_bytes: 2 << 10, in_background: false };

/// A change of one of a few keys, or something done to the store between batches.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, usize),
    Delete(u8),
    DeleteRange(u8, u8),
    /// The batch ends.
    Commit,
    /// It ends, and the store is opened anew.
    Reopen,
    /// It ends, and everything is given to the storage below.
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<u8>(), 0..600_usize).prop_map(|(key, bytes)| Step::Put(key, bytes)),
        3 => any::<u8>().prop_map(Step::Delete),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(start, end)| Step::DeleteRange(start, end)),
        6 => Just(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Checkpoint),
    ];
    vec(step, 1..200)
}

fn key(number: u8) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn open(below: &Arc<dyn Storage>, directory: &Path, options: &LogOptions) -> LoggedStorage {
    LoggedStorage::open(below.clone(), directory, options).unwrap()
}

fn all(store: &dyn Storage, page_entries: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut page = Page::new(page_entries, 1 << 20);
        store.scan(ScanRange { start: b"", end: b"", after: after.as_deref() }, &mut page).unwrap();
        found.extend(page.entries().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if !page.is_full() {
            return found;
        }
        after = page.last_key().map(<[u8]>::to_vec);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever is still in tables and whatever was given away, reads see what a map would hold.
    #[test]
    fn it_reads_as_a_map_whatever_was_given_away(steps in steps(), in_background: bool, page_entries in 1..40_usize) {
        let options = LogOptions { in_background, ..SMALL };
        let directory = tempfile::tempdir().unwrap();
        let below: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let mut store = open(&below, directory.path(), &options);
        let (mut map, mut next) = (BTreeMap::new(), BTreeMap::new());
        let mut batch = Batch::new();
        for (number, step) in steps.iter().chain(&[Step::Commit]).enumerate() {
            match step {
                Step::Put(name, bytes) => {
                    let value = vec![number as u8; *bytes];
                    batch.put(&key(*name), &[&value]);
                    next.insert(key(*name), value);
                    continue;
                }
                Step::Delete(name) => {
                    batch.delete(&key(*name));
                    next.remove(&key(*name));
                    continue;
                }
                Step::DeleteRange(start, end) => {
                    batch.delete_range(&key(*start), &key(*end));
                    next.retain(|name, _| !ScanRange::new(&key(*start), &key(*end)).contains(name));
                    continue;
                }
                _ => store.write(&batch, Durability::Synced).unwrap(),
            }
            batch.clear();
            map.clone_from(&next);
            match step {
                Step::Reopen => {
                    drop(store);
                    store = open(&below, directory.path(), &options);
                }
                Step::Checkpoint => store.checkpoint().unwrap(),
                _ => {}
            }
            prop_assert_eq!(&all(&store, page_entries), &map);
            if !in_background {
                prop_assert_eq!(store.stats().unwrap().entries, map.len() as u64);
            }
            let keys: Vec<Vec<u8>> = (0..=u8::MAX).map(key).collect();
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let mut many = Vec::new();
            store.get_many(&keys, &mut |_, value| many.push(value.map(<[u8]>::to_vec))).unwrap();
            let mut value = Vec::new();
            for (key, found) in keys.iter().zip(many) {
                prop_assert_eq!(&found, &map.get(*key).cloned());
                prop_assert_eq!(store.get(key, &mut value).unwrap(), found.is_some());
                prop_assert_eq!(&value, &found.unwrap_or_default());
            }
        }
    }
}

/// A store with batches 0 to `batches` of one entry of 1,000 bytes each, all of them in its log.
fn written(batches: u8, durability: Durability) -> (TempDir, Arc<dyn Storage>) {
    let directory = tempfile::tempdir().unwrap();
    let below: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let store = open(&below, directory.path(), &SMALL);
    for number in 0..batches {
        let mut batch = Batch::new();
        batch.put(&key(number), &[&[number; 1_000]]);
        store.write(&batch, durability).unwrap();
    }
    drop(store);
    (directory, below)
}

fn segment(directory: &Path, number: u8) -> fs::File {
    fs::File::options().read(true).write(true).open(directory.join(format!("segment-{number}"))).unwrap()
}

/// Bytes of a record of those.
const RECORD: u64 = 32 + 9 + 7 + 1_000;

#[test]
fn a_record_that_was_not_written_to_its_end_ends_the_log_and_is_written_over() {
    let (directory, below) = written(5, Durability::Synced);
    segment(directory.path(), 1).write_all_at(&[0xee; 40], 64 + 4 * RECORD + 900).unwrap();
    let store = open(&below, directory.path(), &SMALL);
    assert_eq!(all(&store, 100).len(), 4, "the last record was torn");
    let mut batch = Batch::new();
    batch.put(&key(9), &[b"again"]);
    store.write(&batch, Durability::Synced).unwrap();
    drop(store);
    let store = open(&below, directory.path(), &SMALL);
    assert_eq!(all(&store, 100).len(), 5);
}

#[test]
fn a_record_that_was_durable_and_is_not_there_any_more_is_damage() {
    let (directory, below) = written(5, Durability::Synced);
    segment(directory.path(), 1).write_all_at(&[0xee; 4], 64 + RECORD + 500).unwrap();
    let error = LoggedStorage::open(below.clone(), directory.path(), &SMALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageDamaged, "{error}");
    // Those that were never durable may be lost from any of them on, and the rest with it.
    let (directory, below) = written(5, Durability::Buffered);
    segment(directory.path(), 1).write_all_at(&[0xee; 4], 64 + RECORD + 500).unwrap();
    assert_eq!(all(&open(&below, directory.path(), &SMALL), 100).len(), 1);
}

#[test]
fn a_record_behind_one_that_was_lost_does_not_come_back_when_that_is_written_over() {
    let (directory, below) = written(3, Durability::Buffered);
    segment(directory.path(), 1).write_all_at(&[0xee; 4], 64 + RECORD + 500).unwrap();
    let store = open(&below, directory.path(), &SMALL);
    let mut batch = Batch::new();
    batch.put(&key(7), &[&[7; 1_000]]);
    store.write(&batch, Durability::Synced).unwrap();
    drop(store);
    let keys: Vec<Vec<u8>> = all(&open(&below, directory.path(), &SMALL), 100).into_keys().collect();
    assert_eq!(keys, [key(0), key(7)], "key 2 lies whole behind the end of the log");
}

#[test]
fn a_log_is_used_with_its_own_store_and_a_store_with_its_own_log() {
    let (directory, below) = written(3, Durability::Synced);
    let (other_directory, other_below) = written(4, Durability::Synced);
    let refused = |below: &Arc<dyn Storage>, directory: &Path| {
        LoggedStorage::open(below.clone(), directory, &SMALL).unwrap_err().kind()
    };
    assert_eq!(refused(&below, other_directory.path()), ErrorKind::StorageUnusable);
    let fresh: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    assert_eq!(refused(&fresh, directory.path()), ErrorKind::StorageUnusable);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(refused(&below, empty.path()), ErrorKind::StorageDamaged, "its log is lost");
    let open_twice = open(&other_below, other_directory.path(), &SMALL);
    assert_eq!(refused(&other_below, other_directory.path()), ErrorKind::StorageUnusable);
    drop(open_twice);
    assert_eq!(all(&open(&below, directory.path(), &SMALL), 100).len(), 3, "nothing was changed");
}

#[test]
fn a_storage_below_that_is_full_stops_writes_until_it_has_room_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let below: Arc<dyn Storage> = Arc::new(MemoryStorage::with_bytes_max(40 << 10));
    let store = open(&below, directory.path(), &SMALL);
    let mut acknowledged = 0;
    let refused = loop {
        let mut batch = Batch::new();
        batch.put(&key(acknowledged), &[&[acknowledged; 1_000]]);
        match store.write(&batch, Durability::Synced) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CommitError::NotWritten(_)), "{refused}");
    assert!(acknowledged >= 15, "{acknowledged} batches of 1,000 bytes found room in 40 KiB");
    assert_eq!(all(&store, 7).len(), usize::from(acknowledged));
    store.checkpoint().unwrap();
    let mut batch = Batch::new();
    (0..10).for_each(|number| batch.delete(&key(number)));
    below.write(&batch, Durability::Synced).unwrap();
    let mut batch = Batch::new();
    batch.put(b"late", &[b"value"]);
    store.write(&batch, Durability::Synced).unwrap();
    drop(store);
    assert_eq!(all(&open(&below, directory.path(), &SMALL), 100).len(), usize::from(acknowledged) - 9);
}

#[test]
fn segments_are_used_again_and_a_large_batch_gets_one_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let below: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let store = open(&below, directory.path(), &LogOptions { in_background: true, ..SMALL });
    for number in 0..200_u8 {
        let mut batch = Batch::new();
        batch.put(&key(number), &[&vec![number; if number % 50 == 49 { 100_000 } else { 1_000 }]]);
        store.write(&batch, Durability::Synced).unwrap();
    }
    store.checkpoint().unwrap();
    assert!(store.checkpoints() > 10);
    let bytes: u64 =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 4 * (16 << 10), "the log takes {bytes} bytes when all is given away");
    drop(store);
    assert_eq!(all(&open(&below, directory.path(), &SMALL), 1_000).len(), 200);
}
