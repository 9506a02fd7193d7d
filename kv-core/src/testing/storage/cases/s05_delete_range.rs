//! `S-05`: a range deletion removes the keys of the half-open range and no other.

use super::super::{Outcome, StorageFactory};
use super::random::random_batches;
use super::store::Store;

const KEYS: [&[u8]; 7] = [b"a", b"b", b"b\0", b"bb", b"c", b"c\0", b"\xff\xff"];

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let bounds: [&[u8]; 8] = [b"", b"a", b"b", b"b\0", b"ba", b"c", b"d", b"\xff\xff"];
    for start in bounds {
        for end in bounds {
            removes_exactly(&Store::fresh(factory), start, end);
        }
    }
    earlier_and_later_puts(&Store::fresh(factory));
    many_keys(&Store::fresh(factory));
    random_batches(&Store::fresh(factory), true);
    Outcome::Passed
}

fn removes_exactly(store: &Store, start: &[u8], end: &[u8]) {
    store.write(|batch| KEYS.iter().for_each(|key| batch.put(key, &[b"value"])));
    store.write(|batch| batch.delete_range(start, end));
    for key in KEYS {
        let stays = key < start || (!end.is_empty() && key >= end);
        assert_eq!(store.value(key).is_some(), stays, "key {key:?} after removing {start:?}..{end:?}");
    }
}

fn earlier_and_later_puts(store: &Store) {
    store.put(b"b", b"old");
    store.write(|batch| {
        batch.put(b"ba", &[b"earlier"]);
        batch.delete_range(b"b", b"c");
        batch.put(b"bb", &[b"later"]);
    });
    assert_eq!(store.value(b"b"), None, "stored before the batch");
    assert_eq!(store.value(b"ba"), None, "put earlier in the batch");
    assert_eq!(store.value(b"bb"), Some(b"later".to_vec()), "put later in the batch");
}

/// Enough keys, and large enough values, that a tree of pages loses whole pages.
fn many_keys(store: &Store) {
    let key = |number: u32| number.to_be_bytes();
    store.write(|batch| {
        for number in 0..3_000 {
            batch.put(&key(number), &[&vec![1; number as usize % 700]]);
        }
        batch.put(&key(1_500), &[&[2; 20_000]]);
    });
    store.write(|batch| batch.delete_range(&key(100), &key(2_900)));
    for number in 0..3_000 {
        let stays = !(100..2_900).contains(&number);
        assert_eq!(store.value(&key(number)).is_some(), stays, "key {number} of 3,000");
    }
}
