//! `S-12`: `stats` counts the entries.

use super::super::{Outcome, StorageFactory};
use super::store::Store;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    // The engine's own entries count too, and a fresh store may have some.
    let own = entries(&store);
    for number in 1..=100_u32 {
        store.put(&number.to_be_bytes(), b"value");
        assert_eq!(entries(&store) - own, u64::from(number), "entries after {number} puts");
    }
    store.put(&7_u32.to_be_bytes(), b"another value");
    assert_eq!(entries(&store) - own, 100, "entries after an overwrite");
    store.write(|batch| batch.delete(b"absent"));
    assert_eq!(entries(&store) - own, 100, "entries after the delete of an absent key");
    store.write(|batch| batch.delete(&7_u32.to_be_bytes()));
    assert_eq!(entries(&store) - own, 99, "entries after a delete");
    store.write(|batch| {
        batch.put(b"twice", &[b"first"]);
        batch.put(b"twice", &[b"second"]);
    });
    assert_eq!(entries(&store) - own, 100, "entries after two puts of one key");
    Outcome::Passed
}

fn entries(store: &Store) -> u64 {
    store.stats().expect("stats").entries
}
