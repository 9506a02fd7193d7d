//! `S-10`: an open store cannot be opened a second time; a dropped one can.

use super::super::{Outcome, StorageFactory};
use super::NOT_DURABLE;
use super::store::Store;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let mut store = Store::fresh(factory);
    if !store.capabilities().durable {
        return NOT_DURABLE;
    }
    for _ in 0..3 {
        let second = store.place().open();
        assert!(second.is_err(), "the store was opened a second time");
        // The refused attempt must not have harmed the owner.
        store.put(b"key", b"value");
        store = store.reopen();
        assert_eq!(store.value(b"key"), Some(b"value".to_vec()));
    }
    Outcome::Passed
}
