use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::store::Store;
use crate::storage::{Batch, Change};

const KEYS: u16 = 200;
const BATCHES: u32 = 120;

/// Writes random batches, of puts and deletes and, `with_ranges`, range deletions, and after each compares every key with a
/// model. The seed is fixed: the same engine always sees the same batches.
pub(super) fn random_batches(store: &Store, with_ranges: bool) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut model = BTreeMap::new();
    for round in 0..BATCHES {
        let batch = random_batch(&mut random, with_ranges);
        apply(&mut model, &batch);
        store.write(|written| *written = batch);
        for key in (0..KEYS).map(key_bytes) {
            let expected = model.get(&key);
            assert_eq!(store.value(&key).as_ref(), expected, "key {key:?} after random batch {round}");
        }
    }
}

/// Keys of one and of two bytes, some of them prefixes of others.
fn key_bytes(number: u16) -> Vec<u8> {
    match number % 8 {
        0 => vec![number as u8],
        rest => vec![(number - rest) as u8, rest as u8],
    }
}

fn random_batch(random: &mut ChaCha8Rng, with_ranges: bool) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..random.random_range(1..40) {
        let key = key_bytes(random.random_range(0..KEYS));
        match random.random_range(0..10) {
            0..6 => batch.put(&key, &[&vec![random.random(); random.random_range(0..200)]]),
            6..9 => batch.delete(&key),
            _ if with_ranges => {
                let end = key_bytes(random.random_range(0..KEYS));
                batch.delete_range(&key, &end);
            }
            _ => {}
        }
    }
    batch
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put { key, value } => {
                model.insert(key.into(), value.into());
            }
            Change::Delete { key } => {
                model.remove(key);
            }
            Change::DeleteRange { start, end } => {
                model.retain(|key, _| &**key < start || (!end.is_empty() && &**key >= end));
            }
        }
    }
}
