//! `S-08`: after `NotWritten` nothing of the batch is there and the store goes on.

use super::super::{Outcome, StorageFactory};
use super::store::Store;
use crate::storage::CommitError;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let Some(place) = factory.small_place() else {
        return Outcome::NotApplicable("the factory has no place where a store runs full");
    };
    let mut store = Store::open(place);
    for round in 0..3_u8 {
        store.put(b"kept", &[round]);
        store.put(b"deleted", &[round]);
        too_large(&store);
        unchanged(&store, round);
        goes_on(&store, round);
        if store.capabilities().durable {
            store = store.reopen();
            unchanged(&store, round);
            goes_on(&store, round);
        }
    }
    Outcome::Passed
}

/// Writes 64 MiB and some small changes around them.
fn too_large(store: &Store) {
    let megabyte = vec![1; 1 << 20];
    let result = store.try_write(|batch| {
        batch.put(b"kept", &[b"other"]);
        batch.delete(b"deleted");
        batch.put(b"first", &[b"value"]);
        for number in 0..64_u8 {
            batch.put(&[b'l', number], &[&megabyte]);
        }
        batch.put(b"last", &[b"value"]);
    });
    let refused = matches!(result, Err(CommitError::NotWritten(_)));
    assert!(refused, "a batch of 64 MiB in a small place is refused, not {result:?}");
}

fn goes_on(store: &Store, round: u8) {
    store.put(b"next", &[round]);
    assert_eq!(store.value(b"next"), Some(vec![round]), "a batch after the failed one");
    store.write(|batch| batch.delete(b"next"));
}

fn unchanged(store: &Store, round: u8) {
    assert_eq!(store.value(b"kept"), Some(vec![round]), "an overwrite of the failed batch");
    assert_eq!(store.value(b"deleted"), Some(vec![round]), "a delete of the failed batch");
    for key in [&b"first"[..], b"l\0", b"l\x3f", b"last"] {
        assert_eq!(store.value(key), None, "a put of the failed batch");
    }
}
