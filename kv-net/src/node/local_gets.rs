use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use kv_core::histogram::{Histogram, NANOSECONDS, VALUES};
use parking_lot::Mutex;

/// One of so many gets is measured: two looks at the clock for each would be a good part of what such a get costs.
const SAMPLED_ONE_OF: u32 = 64;

/// Threads beyond so many share their counts.
const SHARDS: usize = 16;

std::thread_local! {
    /// The shard of this thread, and how many gets it served.
    static PLACE: Cell<(usize, u32)> = const { Cell::new((usize::MAX, 0)) };
}

/// Counts the gets that are answered where they arrive, which the machine does not see. Each thread has counts of its own, so that
/// counting makes no thread wait for another's cache.
#[derive(Debug)]
pub(super) struct LocalGets([Shard; SHARDS]);

/// As much as two cache lines, which processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// Gets that showed no value, one, two, three, up to eight, more: one for each piece of [`VALUES`].
    by_values: [AtomicU64; VALUES.len() + 1],
    /// Values that those with more than three showed.
    many_values: AtomicU64,
    sampled_ns: Mutex<Histogram>,
}

/// What the gets that were answered where they arrived came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalGetFigures {
    /// How many concurrent values each showed; their number is that of the gets.
    pub values: Histogram,
    /// Nanoseconds that one of 64 took.
    pub sampled_ns: Histogram,
}

impl LocalGets {
    pub(super) fn new() -> Self {
        LocalGets(std::array::from_fn(|_| Shard {
            by_values: Default::default(),
            many_values: AtomicU64::new(0),
            sampled_ns: Mutex::new(Histogram::new(NANOSECONDS)),
        }))
    }

    /// To be called before a get that may be answered here; says when it began, if it is one that is measured.
    pub(super) fn begin(&self) -> Option<Instant> {
        let (shard, turn) = PLACE.get();
        PLACE.set((shard, turn.wrapping_add(1)));
        turn.is_multiple_of(SAMPLED_ONE_OF).then(Instant::now)
    }

    /// Takes note of a get that was answered here with so many values.
    pub(super) fn served(&self, begun: Option<Instant>, values: usize) {
        let Some(shard) = self.0.get(shard_of_thread()) else { return };
        let place = VALUES.partition_point(|bound| *bound < values as u64);
        if let Some(count) = shard.by_values.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if values > 3 {
            shard.many_values.fetch_add(values as u64, Ordering::Relaxed);
        }
        if let Some(begun) = begun {
            shard.sampled_ns.lock().observe(begun.elapsed().as_nanos() as u64);
        }
    }

    pub(super) fn figures(&self) -> LocalGetFigures {
        let mut sampled_ns = Histogram::new(NANOSECONDS);
        let (mut counts, mut many_values) = ([0; VALUES.len() + 1], 0);
        for shard in &self.0 {
            sampled_ns.merge(&shard.sampled_ns.lock());
            for (count, more) in counts.iter_mut().zip(&shard.by_values) {
                *count += more.load(Ordering::Relaxed);
            }
            many_values += shard.many_values.load(Ordering::Relaxed);
        }
        LocalGetFigures {
            values: Histogram::of(VALUES, &counts, exact_values(&counts) + many_values),
            sampled_ns,
        }
    }
}

/// How many values the gets with at most three showed together.
fn exact_values(counts: &[u64]) -> u64 {
    VALUES
        .iter()
        .zip(counts)
        .take_while(|(values, _)| **values <= 3)
        .map(|(values, count)| values * count)
        .sum()
}

fn shard_of_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let (shard, turn) = PLACE.get();
    if shard < SHARDS {
        return shard;
    }
    let shard = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    PLACE.set((shard, turn));
    shard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gets_of_all_threads_are_counted_and_one_of_many_is_measured() {
        let gets = LocalGets::new();
        let served = [0, 1, 3, 4, 9];
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for turn in 0..128 {
                        let begun = gets.begin();
                        gets.served(begun, served[turn % served.len()]);
                    }
                });
            }
        });
        let mut expected = Histogram::new(VALUES);
        for turn in 0..128 {
            expected.observe_often(served[turn % served.len()] as u64, 2 * SHARDS as u64);
        }
        let figures = gets.figures();
        assert_eq!(figures.values, expected);
        assert_eq!(figures.sampled_ns.count(), 2 * 2 * SHARDS as u64);
    }
}
