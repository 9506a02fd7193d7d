//! `S-02`: keys and values of every size in the promised bounds are stored, and keys beyond them refused.

use super::super::{Outcome, StorageFactory};
use super::store::Store;
use crate::storage::CommitError;

const VALUE_BYTES: &[usize] = &[0, 1, 2_047, 2_048, 4_095, 4_096, 4_097, 65_536, 1 << 20, 16 << 20];

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    let longest = store.capabilities().key_bytes_max;
    for byte in [0, b'k', 0xff] {
        for length in [1, 2, longest / 2, longest - 1, longest] {
            store.put(&vec![byte; length], &length.to_be_bytes());
        }
        for length in [1, 2, longest / 2, longest - 1, longest] {
            let value = store.value(&vec![byte; length]);
            assert_eq!(value, Some(length.to_be_bytes().to_vec()), "a key of {length} times {byte}");
        }
    }
    for &length in VALUE_BYTES {
        let value = vec![length as u8 | 1; length];
        store.put(b"value", &value);
        assert!(store.value(b"value") == Some(value), "a value of {length} bytes");
    }
    for length in [0, longest + 1] {
        let result = store.try_write(|batch| {
            batch.put(b"beside", &[b"value"]);
            batch.put(&vec![b'k'; length], &[b"value"]);
        });
        let refused = matches!(result, Err(CommitError::NotWritten(_)));
        assert!(refused, "a key of {length} bytes is refused, not {result:?}");
    }
    Outcome::Passed
}
