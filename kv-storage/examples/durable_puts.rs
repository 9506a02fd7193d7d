//! Durable puts, and gets beside them, of LMDB alone and of LMDB behind a log, in one run.
//!
//! ```sh
//! cargo run --release -p kv-storage --example durable_puts -- [seconds] [puts in a group] [bytes of a value] [keys]
//! ```
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kv_core::storage::{Batch, Durability, Storage};
use kv_storage::{LmdbOptions, LmdbStorage, LogOptions, LoggedStorage};

#[derive(Debug, Clone, Copy)]
struct Work {
    time: Duration,
    group: u64,
    value_bytes: usize,
    keys: u64,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&Random(number).next().to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let work = Work {
        time: Duration::from_secs(numbers.next().unwrap_or(10)),
        group: numbers.next().unwrap_or(64),
        value_bytes: numbers.next().unwrap_or(100) as usize,
        keys: numbers.next().unwrap_or(1_000_000),
    };
    println!("{work:?}");
    let alone = tempfile::tempdir().unwrap();
    let store = LmdbStorage::open(alone.path().join("store"), &LmdbOptions::default()).unwrap();
    let raw = measure("LMDB", &store, work);
    drop(store);
    let behind = tempfile::tempdir().unwrap();
    let below = LmdbStorage::open(behind.path().join("store"), &LmdbOptions::default()).unwrap();
    let store =
        LoggedStorage::open(Arc::new(below), behind.path().join("log"), &LogOptions::default()).unwrap();
    let logged = measure("LMDB behind a log", &store, work);
    println!("tables given away: {}", store.checkpoints());
    println!("puts: {:.2} times as many; gets when idle: {:.2}", logged.0 / raw.0, logged.1 / raw.1);
    let begun = Instant::now();
    drop(store);
    let closed = begun.elapsed();
    let below = LmdbStorage::open(behind.path().join("store"), &LmdbOptions::default()).unwrap();
    let reopened = LoggedStorage::open(Arc::new(below), behind.path().join("log"), &LogOptions::default());
    println!("closed in {closed:.2?}, open again after {:.2?}", begun.elapsed() - closed);
    drop(reopened.unwrap());
}

/// Fills a store, writes to it and reads it; prints and returns puts and gets a second.
fn measure(name: &str, store: &dyn Storage, work: Work) -> (f64, f64) {
    let value = vec![7; work.value_bytes];
    let mut batch = Batch::new();
    for number in 0..work.keys {
        batch.put(&key(number), &[&value]);
        if batch.len() == 20_000 {
            store.write(&batch, Durability::Synced).unwrap();
            batch.clear();
        }
    }
    store.write(&batch, Durability::Synced).unwrap();
    let is_over = AtomicBool::new(false);
    let (puts, while_written) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| gets(store, work, &is_over));
        let puts = puts(name, store, work, &value);
        is_over.store(true, Ordering::Relaxed);
        (puts, reader.join().unwrap())
    });
    std::thread::sleep(Duration::from_secs(2));
    is_over.store(false, Ordering::Relaxed);
    let idle = std::thread::scope(|scope| {
        let reader = scope.spawn(|| gets(store, work, &is_over));
        std::thread::sleep(Duration::from_secs(3));
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    println!("{name}: {idle:.0} gets a second when idle, {while_written:.0} while it is written to");
    (puts, idle)
}

fn puts(name: &str, store: &dyn Storage, work: Work, value: &[u8]) -> f64 {
    let (begun, mut random, mut taken) = (Instant::now(), Random(1), Vec::new());
    let mut batch = Batch::new();
    while begun.elapsed() < work.time {
        batch.clear();
        for _ in 0..work.group {
            batch.put(&key(random.next() % work.keys), &[value]);
        }
        let started = Instant::now();
        store.write(&batch, Durability::Synced).unwrap();
        taken.push(started.elapsed());
    }
    let rate = (taken.len() as u64 * work.group) as f64 / begun.elapsed().as_secs_f64();
    taken.sort_unstable();
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize];
    let (p50, p99, p999, most) = (at(0.5), at(0.99), at(0.999), at(1.0));
    println!(
        "{name}: {rate:.0} puts a second; a group p50 {p50:.2?}, p99 {p99:.2?}, p99.9 {p999:.2?}, max {most:.2?}"
    );
    rate
}

/// Random gets until it is over, of one thread.
fn gets(store: &dyn Storage, work: Work, is_over: &AtomicBool) -> f64 {
    let (begun, mut random, mut count, mut value) = (Instant::now(), Random(2), 0_u64, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..100 {
            assert!(store.get(&key(random.next() % work.keys), &mut value).unwrap());
        }
        count += 100;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
