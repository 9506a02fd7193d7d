//! `S-07`: a batch is visible when its write returned, and never a part of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Outcome, StorageFactory};
use super::race::race;
use super::store::Store;

/// Batch `n` puts `n` under every key. A reader that saw batch `n` anywhere, or was told that its write returned, must not see
/// an older value under any key afterwards; gets of single keys suffice to tell, in both directions.
pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    let keys: Vec<[u8; 2]> = (0..12_u16).map(|number| (number * 5_003).to_be_bytes()).collect();
    let put_all = |number: u64| {
        store.write(|batch| keys.iter().for_each(|key| batch.put(key, &[&number.to_be_bytes()])));
    };
    put_all(0);
    let returned = AtomicU64::new(0);
    race(
        &mut |number| {
            put_all(number);
            returned.store(number, Ordering::Release);
        },
        &|| {
            let written = returned.load(Ordering::Acquire);
            let mut seen = written;
            for key in keys.iter().chain(keys.iter().rev()) {
                let value = number(&store, key);
                assert!(value >= written, "batch {written} was written, but key {key:?} is of {value}");
                assert!(value >= seen, "batch {seen} was seen, but then key {key:?} is of {value}");
                seen = value;
            }
        },
    );
    Outcome::Passed
}

fn number(store: &Store, key: &[u8]) -> u64 {
    let value = store.value(key).expect("a key that every batch puts");
    u64::from_be_bytes(value.try_into().expect("8 bytes"))
}
