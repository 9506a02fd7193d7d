use kv_core::storage::Batch;

use crate::random::Random;

/// Batches of a run.
pub(crate) const BATCHES: usize = 500;

const KEYS: u64 = 80;

/// Batch `number` of every run: one to eight changes, values of 0 to 5 KB, and every tenth a range deletion.
pub(crate) fn batch(number: usize) -> Batch {
    let mut random = Random::new(number as u64);
    let mut batch = Batch::new();
    for _ in 0..=random.below(8) {
        let key = key(random.below(KEYS));
        match random.below(8) {
            0 | 1 => batch.delete(&key),
            2 => batch.put(&key, &[&value(&mut random, 5_000)]),
            _ => batch.put(&key, &[&value(&mut random, 300)]),
        }
    }
    if number % 10 == 9 {
        let start = random.below(KEYS);
        batch.delete_range(&key(start), &key(start + random.below(20)));
    }
    batch
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn value(random: &mut Random, bytes_max: u64) -> Vec<u8> {
    vec![random.next() as u8; random.below(bytes_max) as usize]
}
