//! `S-09`: what was written is there after the store was closed and reopened. What kills do to a process, a test with real
//! processes has to show.

use super::super::{Outcome, StorageFactory};
use super::NOT_DURABLE;
use super::store::Store;
use crate::storage::{Batch, Durability};

const BATCHES: u32 = 20;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let mut store = Store::fresh(factory);
    if !store.capabilities().durable {
        return NOT_DURABLE;
    }
    for number in 0..BATCHES {
        let mut batch = Batch::new();
        batch.put(&key(number), &[&vec![number as u8; number as usize * 500]]);
        batch.put(b"latest", &[&number.to_be_bytes()]);
        if let Some(before) = number.checked_sub(5) {
            batch.delete(&key(before));
        }
        // The last ones of each kind are not followed by a sync, and each kind is closed upon.
        let durability = if number % 2 == 0 { Durability::Synced } else { Durability::Buffered };
        (*store).write(&batch, durability).expect("write");
        if number % 3 == 0 {
            store = store.reopen();
        }
        all_there(&store, number);
    }
    store.sync().expect("sync");
    store = store.reopen();
    all_there(&store, BATCHES - 1);
    Outcome::Passed
}

fn all_there(store: &Store, latest: u32) {
    assert_eq!(store.value(b"latest"), Some(latest.to_be_bytes().to_vec()));
    for number in 0..=latest {
        let expected = (number + 5 > latest).then(|| vec![number as u8; number as usize * 500]);
        assert_eq!(store.value(&key(number)), expected, "batch {number} after batch {latest}");
    }
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}
