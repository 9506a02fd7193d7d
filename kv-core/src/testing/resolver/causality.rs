//! `R-03`: random causal histories, whose records are merged in random orders and groupings.

use bytes::Bytes;
use rand::RngExt;
use rand::SeedableRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::sample::values;
use crate::causality::{Actor, Context, Dot, Stamp};
use crate::ids::Incarnation;
use crate::record::{Expiry, Record, Version};
use crate::resolver::ConflictResolver;

const HISTORIES: usize = 1_000;
const REPLICAS: usize = 3;

/// The replicas of one key, and every record that one of them ever held.
struct History<'a> {
    resolver: &'a dyn ConflictResolver,
    replicas: [Record; REPLICAS],
    counters: [u64; REPLICAS],
    records: Vec<Record>,
}

impl<'a> History<'a> {
    fn random(random: &mut ChaCha8Rng, resolver: &'a dyn ConflictResolver, values: &[Bytes]) -> Self {
        let mut history = History {
            resolver,
            replicas: std::array::from_fn(|_| Record::new()),
            counters: [0; REPLICAS],
            records: vec![Record::new()],
        };
        for _ in 0..random.random_range(2..12) {
            let to = random.random_range(0..REPLICAS);
            match random.random_range(0..4u32) {
                0 => {
                    let other = history.records.choose(random).cloned().unwrap_or_default();
                    history.step(to, |record| record.merge(other, resolver));
                }
                1 => history.expire(random, to),
                _ => history.put(random, to, values),
            }
        }
        history
    }

    /// A put or delete whose context is any record that was ever seen, or nothing. Its stamp is above its context's and else anything,
    /// as clocks are.
    fn put(&mut self, random: &mut ChaCha8Rng, to: usize, values: &[Bytes]) {
        let read = self.records.choose(random).filter(|_| random.random_range(0..4) > 0);
        let context = read.map(Record::context).unwrap_or_default();
        let clock = Stamp(random.random_range(1..8));
        let value = values.choose(random).filter(|_| random.random_range(0..5) > 0).cloned();
        let stamp = clock.max(context.stamp.next());
        self.add(to, context, (stamp, None), value);
    }

    /// A change of expiry alone, by a reader who found one value: the value keeps its stamp, and the expiry has one above the context's.
    fn expire(&mut self, random: &mut ChaCha8Rng, to: usize) {
        let Some(read) = self.records.choose(random) else { return };
        let [only] = read.versions() else { return };
        let (context, stamp, value) = (read.context(), only.stamp, only.value.clone());
        let expiry = Expiry { at_ms: random.random_range(0..3), stamp: context.stamp.next() };
        self.add(to, context, (stamp, Some(expiry)), value);
    }

    fn add(
        &mut self,
        to: usize,
        context: Context,
        (stamp, expiry): (Stamp, Option<Expiry>),
        value: Option<Bytes>,
    ) {
        let Some(counter) = self.counters.get_mut(to) else { return };
        *counter += 1;
        // Later replicas have lower incarnations, so that dots do not follow the order of the replicas either.
        let actor = Actor { incarnation: Incarnation(9 - to as u64), birth: 1 };
        let dot = Dot { actor, counter: *counter };
        let version = Version { dot, past: context.dots, stamp, expiry, id: None, value };
        let resolver = self.resolver;
        self.step(to, |record| record.add(version, resolver));
    }

    fn step(&mut self, to: usize, step: impl FnOnce(&mut Record)) {
        let Some(record) = self.replicas.get_mut(to) else { return };
        step(record);
        self.records.push(record.clone());
    }

    /// The merge of all records, two random ones at a time, some of them more than once.
    fn merged(&self, random: &mut ChaCha8Rng) -> Record {
        let mut pool = self.records.clone();
        pool.extend(self.records.sample(random, 3).cloned());
        pool.shuffle(random);
        while pool.len() > 1 {
            let mut left = pool.swap_remove(random.random_range(0..pool.len()));
            let right = pool.swap_remove(random.random_range(0..pool.len()));
            left.merge(right, self.resolver);
            pool.push(left);
        }
        pool.pop().unwrap_or_default()
    }
}

pub(super) fn merges_agree(resolver: &dyn ConflictResolver) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let values: Vec<Bytes> = values(&mut random).into_iter().map(Bytes::from).collect();
    for _ in 0..HISTORIES {
        let history = History::random(&mut random, resolver, &values);
        let first = history.merged(&mut random);
        for _ in 0..4 {
            let other = history.merged(&mut random);
            if other != first {
                return Err(format!(
                    "the records {} merge to {} and, otherwise grouped, to {}",
                    history.records.iter().map(describe).collect::<Vec<_>>().join(", "),
                    describe(&first),
                    describe(&other)
                ));
            }
        }
    }
    Ok(())
}

fn describe(record: &Record) -> String {
    let words = record.versions().iter().map(|version| {
        let value = version.value.as_ref().map(|value| value.get(..value.len().min(8)).unwrap_or_default());
        let value = value.map_or("a tombstone".into(), |value| format!("\"{}\"", value.escape_ascii()));
        format!("{} at {} / {}: {value}", version.dot, version.stamp.0, version.expiry_stamp().0)
    });
    format!("{{{}}}", words.collect::<Vec<_>>().join("; "))
}
