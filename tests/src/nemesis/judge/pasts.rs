use crate::nemesis::history::{Get, Put, Replaces, WriteId};
use crate::nemesis::judge::key::{KeyHistory, may_be_there};

/// How long a request may wait at a node that stands still after its client gave up, and be run all the same: longer than any fault of a run, and the time
/// that an operation has.
const STANDSTILL_US_MAX: u64 = 20_000_000;

/// For each write of a key, the writes that it replaced: those that it certainly did, and those that it may have.
#[derive(Debug)]
pub(super) struct Pasts {
    certain: Vec<Set>,
    possible: Vec<Set>,
    words: usize,
}

/// A set of writes of one key, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    pub(super) fn insert(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    pub(super) fn union(&mut self, other: &Set) {
        for (word, theirs) in self.0.iter_mut().zip(&other.0) {
            *word |= theirs;
        }
    }
}

impl Pasts {
    pub(super) fn new(key: &KeyHistory<'_>) -> Self {
        let words = key.puts.len().div_ceil(64).max(1);
        let mut pasts = Pasts { certain: Vec::new(), possible: Vec::new(), words };
        for place in 0..key.puts.len() {
            pasts.add(key, place);
        }
        pasts
    }

    fn add(&mut self, key: &KeyHistory<'_>, place: usize) {
        let put = key.puts[place];
        let mut certain = self.empty();
        let mut possible = self.empty();
        match &put.replaces {
            _ if !may_be_there(put) => {}
            // A context names what its reader saw, and all that that replaced. That began earlier, so its own past is known.
            Replaces::Context(writes) => {
                for seen in writes.iter().filter_map(|write| key.place(*write)).filter(|seen| *seen < place) {
                    certain.insert(seen);
                    certain.union(&self.certain[seen]);
                    possible.insert(seen);
                    possible.union(&self.possible[seen]);
                }
            }
            // What is named may no longer name what it replaced itself: pasts go with epochs.
            Replaces::Overwrite(Some(writes)) => {
                for named in writes.iter().filter_map(|write| key.place(*write)) {
                    certain.insert(named);
                    possible.insert(named);
                    if named < place {
                        certain.union(&self.certain[named]);
                        possible.union(&self.possible[named]);
                    }
                }
            }
            // Where stamps decide, an overwrite reads nothing.
            Replaces::Overwrite(None) if key.bucket.by_stamp => {}
            // It has found what was there when it read, which may be long after its client gave up: its request may have waited for a node
            // that stood still. Whoever shows it shows that it had read by then.
            Replaces::Overwrite(None) => {
                let read_by = first_shown(key, put.write).min(put.end_us + STANDSTILL_US_MAX);
                for (other, candidate) in key.puts.iter().enumerate() {
                    if other != place && candidate.begin_us < read_by {
                        possible.insert(other);
                    }
                }
            }
        }
        self.certain.push(certain);
        self.possible.push(possible);
    }

    pub(super) fn empty(&self) -> Set {
        Set(vec![0; self.words])
    }

    /// What the write at that place certainly replaced.
    pub(super) fn certain(&self, place: usize) -> &Set {
        &self.certain[place]
    }

    /// What it may have replaced.
    pub(super) fn possible(&self, place: usize) -> &Set {
        &self.possible[place]
    }
}

/// When a write was first shown, or named by an overwrite that had found it.
fn first_shown(key: &KeyHistory<'_>, write: WriteId) -> u64 {
    let shows = |get: &&&Get| get.values.iter().flatten().any(|value| value.write == Some(write));
    let names =
        |put: &&&Put| matches!(&put.replaces, Replaces::Overwrite(Some(found)) if found.contains(&write));
    let gets = key.gets.iter().filter(shows).map(|get| get.end_us);
    let puts = key.puts.iter().filter(names).map(|put| put.end_us);
    gets.chain(puts).min().unwrap_or(u64::MAX)
}
