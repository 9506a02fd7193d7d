//! What `LmdbStorage::get` costs above heed's own get with a transaction each, in one process and turn by turn.
//!
//!     cargo run --release -p kv-storage --example raw_vs_lmdb [keys]
#![allow(unsafe_code, clippy::expect_used)]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions};
use kv_core::storage::{Batch, Durability, Storage};
use kv_storage::{LmdbOptions, LmdbStorage};

const VALUE: [u8; 100] = [7; 100];
const ROUNDS: usize = 41;
const GETS: u64 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let keys: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let place = tempfile::tempdir()?;
    let raw = raw(place.path(), keys)?;
    let storage = storage(place.path(), keys)?;
    println!(
        "{keys} keys of 16 bytes, values of {} bytes, {GETS} random gets a round, best of {ROUNDS}",
        VALUE.len()
    );
    for threads in [1, 2] {
        let (mut best_raw, mut best_storage) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            best_raw = best_raw.min(timed(threads, keys, &|key, value| get_raw(&raw, key, value)));
            best_storage = best_storage.min(timed(threads, keys, &|key, value| {
                assert!(storage.get(key, value).expect("get"));
            }));
        }
        let gets = GETS as f64 * f64::from(threads);
        let per_second = |time: Duration| gets / time.as_secs_f64() / 1e6;
        println!(
            "{threads} thread(s): raw heed {:.2} M gets/s, LmdbStorage {:.2} M gets/s, time ratio {:.3}",
            per_second(best_raw),
            per_second(best_storage),
            best_storage.as_secs_f64() / best_raw.as_secs_f64(),
        );
    }
    Ok(())
}

/// SplitMix64's output function: distinct keys in random order.
fn key(number: u64) -> [u8; 16] {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    key
}

struct Raw {
    env: Env,
    entries: Database<'static, Bytes, Bytes>,
}

fn raw(place: &std::path::Path, keys: u64) -> Result<Raw, Box<dyn Error>> {
    let directory = place.join("raw");
    std::fs::create_dir(&directory)?;
    // SAFETY: the directory is new and nobody else's.
    let env = unsafe { EnvOpenOptions::new().map_size(1 << 40).max_readers(1_024).open(directory)? };
    let txn = env.write_txn()?;
    let entries = env
        .create_databases_and_commit(txn, |opener, txn| {
            opener.create_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    let mut txn = env.write_txn()?;
    for number in 0..keys {
        entries.put(&mut txn, &key(number), &VALUE)?;
    }
    txn.commit()?;
    Ok(Raw { env, entries })
}

fn storage(place: &std::path::Path, keys: u64) -> Result<Arc<dyn Storage>, Box<dyn Error>> {
    let storage = LmdbStorage::open(place.join("store"), &LmdbOptions::default())?;
    let mut batch = Batch::new();
    for number in 0..keys {
        batch.put(&key(number), &[&VALUE]);
    }
    storage.write(&batch, Durability::Synced)?;
    Ok(Arc::new(storage))
}

fn get_raw(raw: &Raw, key: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let txn = raw.env.read_txn().expect("read transaction");
    let found = raw.entries.get(&txn, key).expect("get").expect("a value");
    value.extend_from_slice(found);
}

fn timed(threads: u32, keys: u64, get: &(dyn Fn(&[u8], &mut Vec<u8>) + Sync)) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..u64::from(threads) {
            scope.spawn(move || {
                let mut value = Vec::new();
                for number in 0..GETS {
                    get(&key((number * 7_919 + thread * 31) % keys), &mut value);
                    black_box(&value);
                }
            });
        }
    });
    begun.elapsed()
}
