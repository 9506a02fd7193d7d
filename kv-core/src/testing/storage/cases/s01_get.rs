//! `S-01`: a get returns what the last put stored, and replaces the caller's buffer.

use super::super::{Outcome, StorageFactory};
use super::store::Store;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    let every_byte: Vec<u8> = (0..=255).collect();
    assert_eq!(store.value(b"key"), None, "a key that was never put");

    store.put(b"key", &every_byte);
    store.put(b"keys", b"longer key");
    assert_eq!(store.value(b"key"), Some(every_byte), "byte for byte");
    assert_eq!(store.value(b"keys"), Some(b"longer key".to_vec()));
    assert_eq!(store.value(b"ke"), None, "a prefix of a key");

    store.put(b"key", b"new");
    assert_eq!(store.value(b"key"), Some(b"new".to_vec()), "the last put counts");

    let mut buffer = b"what the buffer held before".to_vec();
    assert!(store.get(b"key", &mut buffer).expect("get"));
    assert_eq!(buffer, b"new", "the buffer is replaced");

    store.write(|batch| batch.delete(b"key"));
    assert_eq!(store.value(b"key"), None, "a key that was deleted");
    assert_eq!(store.value(b"keys"), Some(b"longer key".to_vec()), "another key stays");
    store.put(b"key", b"again");
    assert_eq!(store.value(b"key"), Some(b"again".to_vec()), "put after a delete");
    Outcome::Passed
}
