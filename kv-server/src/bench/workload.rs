use bytes::Bytes;
use kv_core::error::{Error, ErrorKind};
use kv_core::key::Key;
use kv_core::limits::KEY_BYTES_MAX;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::zipf::Zipf;

/// Values are slices of one block of random bytes, which nothing can compress, at places of their own.
const VALUE_PLACES: usize = 4_096;

/// Shortest key: room for the number of every key.
const KEY_BYTES_MIN: usize = 8;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workload {
    /// Number of different keys, at least 1.
    pub(crate) keys: u64,
    /// Length of each key, 8 to 1,024.
    pub(crate) key_bytes: usize,
    /// Length of each value.
    pub(crate) value_bytes: usize,
    /// Share of reads, 0 to 1.
    pub(crate) reads: f64,
    /// Which keys are asked for how often.
    pub(crate) distribution: Distribution,
    /// Where random numbers begin.
    pub(crate) seed: u64,
}

/// Which keys are asked for how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Distribution {
    /// All alike.
    Uniform,
    /// Few of them most of the time, with that exponent.
    Zipf(f64),
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Read a key.
    Get(Key),
    /// Write a key.
    Put(Key, Bytes),
}

impl Workload {
    /// Checks the quantities.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |what: String| Err(Error::new(ErrorKind::InvalidConfiguration, what));
        if self.keys == 0 {
            return bad("--keys must be at least 1".into());
        }
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&self.key_bytes) {
            return bad(format!("--key-bytes must be {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"));
        }
        if format!("{:x}", self.keys - 1).len() > self.key_bytes {
            return bad(format!("there are fewer than {} keys of {} bytes", self.keys, self.key_bytes));
        }
        if !(0.0..=1.0).contains(&self.reads) {
            return bad("--reads must be 0 to 1".into());
        }
        match self.distribution {
            Distribution::Zipf(exponent) if !(0.01..=10.0).contains(&exponent) => {
                bad("--zipf-exponent must be 0.01 to 10".into())
            }
            _ => Ok(()),
        }
    }

    /// The requests of one worker.
    pub(super) fn operations(&self, worker: u64) -> Operations {
        let mut rng = StdRng::seed_from_u64(self.seed ^ mix(worker));
        let mut block = vec![0; self.value_bytes + VALUE_PLACES];
        rng.fill(block.as_mut_slice());
        let zipf = match self.distribution {
            Distribution::Uniform => None,
            Distribution::Zipf(exponent) => Some(Zipf::new(self.keys, exponent)),
        };
        Operations { workload: self.clone(), zipf, rng, block: block.into() }
    }

    /// The key of that number: the number, and after it what looks like chance up to the length.
    fn key(&self, number: u64) -> Result<Key, Error> {
        let mut key = format!("{number:0width$x}", width = KEY_BYTES_MIN).into_bytes();
        let mut state = number;
        while key.len() < self.key_bytes {
            state = mix(state);
            key.extend(format!("{state:016x}").bytes().take(self.key_bytes - key.len()));
        }
        Key::new(key)
    }
}

/// An endless supply of requests.
#[derive(Debug)]
pub(super) struct Operations {
    workload: Workload,
    zipf: Option<Zipf>,
    rng: StdRng,
    block: Bytes,
}

impl Operations {
    /// The next request.
    pub(super) fn next(&mut self) -> Result<Operation, Error> {
        let keys = self.workload.keys;
        let number = match &self.zipf {
            None => self.rng.random_range(0..keys),
            Some(zipf) => zipf.sample(&mut self.rng),
        };
        if self.rng.random_bool(self.workload.reads) {
            Ok(Operation::Get(self.workload.key(number)?))
        } else {
            self.put(number)
        }
    }

    /// A write of the key of that number.
    pub(super) fn put(&mut self, number: u64) -> Result<Operation, Error> {
        let start = self.rng.random_range(0..VALUE_PLACES);
        let value = self.block.slice(start..start + self.workload.value_bytes);
        Ok(Operation::Put(self.workload.key(number)?, value))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn workload() -> Workload {
        let distribution = Distribution::Uniform;
        Workload { keys: 1_000, key_bytes: 16, value_bytes: 100, reads: 0.25, distribution, seed: 1 }
    }

    #[test]
    fn keys_are_as_long_as_asked_and_all_different() {
        for key_bytes in [8, 16, 100] {
            let workload = Workload { key_bytes, ..workload() };
            let keys: HashSet<Key> = (0..1_000).map(|number| workload.key(number).unwrap()).collect();
            assert_eq!(keys.len(), 1_000);
            assert!(keys.iter().all(|key| key.as_bytes().len() == key_bytes));
        }
    }

    #[test]
    fn the_share_of_reads_and_the_sizes_are_those_asked_for() {
        let mut operations = workload().operations(0);
        let mut reads = 0;
        for _ in 0..10_000 {
            match operations.next().unwrap() {
                Operation::Get(_) => reads += 1,
                Operation::Put(_, value) => assert_eq!(value.len(), 100),
            }
        }
        assert!((2_300..2_700).contains(&reads), "{reads}");
    }

    #[test]
    fn a_seed_gives_the_same_requests_again_and_each_worker_its_own() {
        let first = |worker| {
            let mut operations = workload().operations(worker);
            (0..10).map(|_| operations.next().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }

    #[test]
    fn quantities_out_of_range_are_refused_by_name() {
        let bad = [
            (Workload { keys: 0, ..workload() }, "--keys"),
            (Workload { key_bytes: 7, ..workload() }, "--key-bytes"),
            (Workload { keys: 1 << 40, key_bytes: 8, ..workload() }, "fewer than"),
            (Workload { reads: 1.5, ..workload() }, "--reads"),
            (Workload { distribution: Distribution::Zipf(0.0), ..workload() }, "--zipf-exponent"),
        ];
        for (workload, name) in bad {
            assert!(workload.check().unwrap_err().message().contains(name), "{name}");
        }
        workload().check().unwrap();
    }
}
