//! `S-03`: a batch is applied entirely or not at all, and its changes in their order.

use super::super::{Outcome, StorageFactory};
use super::random::random_batches;
use super::store::Store;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    store.put(b"old", b"value");
    store.write(|batch| {
        batch.put(b"twice", &[b"first"]);
        batch.put(b"twice", &[b"sec", b"", b"ond"]);
        batch.put(b"gone", &[b"value"]);
        batch.delete(b"gone");
        batch.delete(b"old");
        batch.put(b"old", &[b"new value"]);
        batch.delete(b"absent");
    });
    assert_eq!(store.value(b"twice"), Some(b"second".to_vec()), "of two puts the later wins");
    assert_eq!(store.value(b"gone"), None, "a delete after a put wins");
    assert_eq!(store.value(b"old"), Some(b"new value".to_vec()), "a put after a delete wins");
    store.write(|_| {});

    // In no order, so that an engine that sorts its batches must keep the order within a key.
    store.write(|batch| {
        for number in 0..1_000_u32 {
            let key = number.wrapping_mul(0x9e37_79b1);
            batch.put(&key.to_be_bytes(), &[&number.to_be_bytes()]);
        }
    });
    for number in 0..1_000_u32 {
        let value = store.value(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        assert_eq!(value, Some(number.to_be_bytes().to_vec()), "put {number} of a batch of 1,000");
    }

    half_refused(&store);
    random_batches(&Store::fresh(factory), false);
    Outcome::Passed
}

/// A batch whose last change cannot be stored leaves nothing of the changes before it.
fn half_refused(store: &Store) {
    store.put(b"kept", b"value");
    let result = store.try_write(|batch| {
        batch.put(b"kept", &[b"other"]);
        batch.put(b"half", &[b"value"]);
        batch.put(&vec![b'k'; store.capabilities().key_bytes_max + 1], &[b"value"]);
    });
    if result.is_err() {
        assert_eq!(store.value(b"kept"), Some(b"value".to_vec()), "overwritten by a refused batch");
        assert_eq!(store.value(b"half"), None, "put by a refused batch");
    }
}
