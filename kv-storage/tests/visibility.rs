//! What readers see while batches are committed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kv_core::storage::{Batch, Durability, Storage};
use kv_storage::{LmdbOptions, LmdbStorage};
use tempfile::tempdir;

const READERS: usize = 8;
const BATCHES: u64 = 3_000;

/// LMDB's readers look up the newest transaction and then read its meta page. One that is interrupted in between, for a commit and
/// the beginning of another, finds the page overwritten, and sees a batch that is not committed yet: its next read, or
/// a crash, takes the batch back. More readers than cores are interrupted often.
#[test]
fn a_reader_never_sees_an_older_state_after_a_newer_one() {
    let place = tempdir().unwrap();
    let storage = LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
    let put = |number: u64| {
        let mut batch = Batch::new();
        batch.put(b"key", &[&number.to_be_bytes()]);
        storage.write(&batch, Durability::Synced).unwrap();
    };
    put(0);
    let ended = AtomicBool::new(false);
    let read_on = || {
        let (mut seen, mut value) = (0, Vec::new());
        while !ended.load(Ordering::Relaxed) {
            assert!(storage.get(b"key", &mut value).unwrap());
            let number = u64::from_be_bytes(value.as_slice().try_into().unwrap());
            assert!(number >= seen, "saw batch {number} after batch {seen}");
            seen = number;
        }
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read_on)).collect();
        (1..=BATCHES).take_while(|_| readers.iter().all(|reader| !reader.is_finished())).for_each(put);
        ended.store(true, Ordering::Relaxed);
    });
}
