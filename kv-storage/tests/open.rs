//! Opening a store: what is refused, and with what.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod mount;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kv_core::error::{Error, ErrorKind};
use kv_core::storage::{Batch, CommitError, Durability, Storage};
use kv_storage::{Creation, LmdbOptions, LmdbStorage, read_through};
use mount::Mount;
use tempfile::tempdir;

fn refused(result: Result<LmdbStorage, Error>, kind: ErrorKind, says: &str) {
    let error = result.expect_err("the store is refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

fn existing() -> LmdbOptions {
    LmdbOptions { creation: Creation::Never, ..LmdbOptions::default() }
}

#[test]
fn a_store_is_made_once_and_then_opened() {
    let place = tempdir().unwrap();
    let store = place.path().join("store");
    drop(LmdbStorage::open(&store, &LmdbOptions::default()).unwrap());
    drop(LmdbStorage::open(&store, &existing()).unwrap());
}

#[test]
fn a_missing_directory_is_refused_where_the_store_has_to_be_there() {
    let place = tempdir().unwrap();
    let missing = place.path().join("missing");
    refused(LmdbStorage::open(&missing, &existing()), ErrorKind::StorageUnusable, "is the volume mounted?");
    assert!(!missing.exists(), "nothing was made");
    refused(LmdbStorage::open(place.path(), &existing()), ErrorKind::StorageUnusable, "there is no store in");
}

#[test]
fn a_missing_parent_is_refused_always() {
    let place = tempdir().unwrap();
    let store = place.path().join("volume").join("store");
    refused(
        LmdbStorage::open(store, &LmdbOptions::default()),
        ErrorKind::StorageUnusable,
        "is the volume mounted?",
    );
}

#[test]
fn a_file_is_not_a_directory() {
    let place = tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, b"").unwrap();
    refused(
        LmdbStorage::open(file, &LmdbOptions::default()),
        ErrorKind::StorageUnusable,
        "is not a directory",
    );
}

#[test]
fn a_store_is_opened_once_in_a_process() {
    let place = tempdir().unwrap();
    let owner = LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
    refused(
        LmdbStorage::open(place.path(), &LmdbOptions::default()),
        ErrorKind::StorageUnusable,
        "is open already",
    );
    drop(owner);
    LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
}

/// Run by the test below in a process of its own; does nothing otherwise.
#[test]
fn another_process_is_refused() {
    if let Some(directory) = std::env::var_os("KV_OPEN_DIRECTORY") {
        refused(
            LmdbStorage::open(directory, &LmdbOptions::default()),
            ErrorKind::StorageUnusable,
            "is open already",
        );
    }
}

#[test]
fn a_store_is_opened_by_one_process() {
    let place = tempdir().unwrap();
    let _owner = LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_is_refused"])
        .env("KV_OPEN_DIRECTORY", place.path())
        .stdout(Stdio::null())
        .status();
    assert!(other.unwrap().success(), "the other process was not refused");
}

/// A child process copies every descriptor of its parent, and keeps them until it starts its own program.
#[test]
fn a_store_that_was_closed_opens_again_while_child_processes_start() {
    let place = tempdir().unwrap();
    let store = place.path().join("store");
    thread::scope(|scope| {
        let starting = scope.spawn(|| (0..200).for_each(|_| drop(Command::new("true").status())));
        while !starting.is_finished() {
            drop(LmdbStorage::open(&store, &LmdbOptions::default()).unwrap());
        }
    });
}

#[test]
fn a_newer_format_and_an_unknown_one_are_refused_and_left_alone() {
    let place = tempdir().unwrap();
    drop(LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap());
    let format = place.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&format).unwrap(), "kv-storage lmdb 1\n");
    for (text, says) in
        [("kv-storage lmdb 2\n", "has format 2"), ("something", "does not name a format"), ("", "FORMAT")]
    {
        fs::write(&format, text).unwrap();
        let result = LmdbStorage::open(place.path(), &LmdbOptions::default());
        refused(result, ErrorKind::IncompatibleFormat, says);
        assert_eq!(fs::read_to_string(&format).unwrap(), text);
    }
}

#[test]
fn a_lost_or_damaged_data_file_is_refused_and_left_alone() {
    let place = tempdir().unwrap();
    drop(LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap());
    let data = place.path().join("data.mdb");
    fs::write(&data, vec![7; 8_192]).unwrap();
    let open = || LmdbStorage::open(place.path(), &LmdbOptions::default());
    refused(open(), ErrorKind::StorageDamaged, "is damaged or not of LMDB");
    assert_eq!(fs::read(&data).unwrap(), vec![7; 8_192]);
    fs::write(&data, b"").unwrap();
    refused(open(), ErrorKind::StorageDamaged, "it is empty");
    assert_eq!(fs::read(&data).unwrap(), b"");
    fs::remove_file(&data).unwrap();
    refused(open(), ErrorKind::StorageUnusable, "has lost its data.mdb");
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn reading_through_a_store_counts_it_and_finds_damage() {
    let place = tempdir().unwrap();
    let look = || read_through(place.path(), &LmdbOptions::default());
    assert_eq!(look().unwrap_err().kind(), ErrorKind::StorageUnusable, "nothing is made");
    let store = LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
    let mut batch = Batch::new();
    for number in 0..1_000_u32 {
        batch.put(&number.to_be_bytes(), &[&vec![1; number as usize * 10]]);
    }
    store.write(&batch, Durability::Synced).unwrap();
    assert_eq!(look().unwrap_err().kind(), ErrorKind::StorageUnusable, "it is open");
    drop(store);
    assert_eq!(look().unwrap(), 1_000);
    let data = place.path().join("data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    bytes[8_192..].fill(0);
    fs::write(&data, &bytes).unwrap();
    assert_eq!(look().unwrap_err().kind(), ErrorKind::StorageDamaged);
    assert_eq!(fs::read(&data).unwrap(), bytes);
}

#[test]
fn a_foreign_environment_is_refused() {
    let place = tempdir().unwrap();
    let store = LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap();
    let mut batch = Batch::new();
    batch.put(b"key", &[b"value"]);
    store.write(&batch, Durability::Synced).unwrap();
    drop(store);
    fs::remove_file(place.path().join("FORMAT")).unwrap();
    let result = LmdbStorage::open(place.path(), &LmdbOptions::default());
    refused(result, ErrorKind::StorageUnusable, "is not of this store");
}

#[test]
fn an_interrupted_creation_is_taken_up() {
    let place = tempdir().unwrap();
    drop(LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap());
    fs::remove_file(place.path().join("FORMAT")).unwrap();
    drop(LmdbStorage::open(place.path(), &LmdbOptions::default()).unwrap());
    assert!(place.path().join("FORMAT").exists());
}

#[test]
fn options_out_of_range_are_refused() {
    let place = tempdir().unwrap();
    for options in [
        LmdbOptions { readers_max: 0, ..LmdbOptions::default() },
        LmdbOptions { map_bytes: 1_000, ..LmdbOptions::default() },
        LmdbOptions { map_bytes: usize::MAX, ..LmdbOptions::default() },
    ] {
        refused(
            LmdbStorage::open(place.path(), &options),
            ErrorKind::InvalidConfiguration,
            "must be at least 1",
        );
    }
}

#[test]
fn a_read_only_volume_is_refused() {
    let Some(volume) = Mount::tmpfs("a_read_only_volume_is_refused", 4 << 20) else { return };
    drop(
        LmdbStorage::open(volume.path(), &LmdbOptions { reserve_bytes: 0, ..LmdbOptions::default() })
            .unwrap(),
    );
    volume.make_read_only();
    refused(
        LmdbStorage::open(volume.path(), &existing()),
        ErrorKind::StorageUnusable,
        "the volume is mounted read-only",
    );
}

#[test]
fn a_store_whose_file_is_deleted_takes_no_more_batches() {
    let place = tempdir().unwrap();
    let store = place.path().join("store");
    let storage = LmdbStorage::open(&store, &LmdbOptions::default()).unwrap();
    let write = || {
        let mut batch = Batch::new();
        batch.put(b"key", &[b"value"]);
        storage.write(&batch, Durability::Synced)
    };
    write().unwrap();
    fs::remove_file(store.join("data.mdb")).unwrap();
    // It looks now and then, not each time.
    let until = Instant::now() + Duration::from_secs(10);
    let error = loop {
        match write() {
            Ok(()) => assert!(Instant::now() < until, "it goes on into nothing"),
            Err(error) => break error,
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert!(error.to_string().contains("deleted or replaced"), "{error}");
    assert!(matches!(write(), Err(CommitError::Unknown(_))), "for good");
}
