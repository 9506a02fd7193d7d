use crate::causality::Dot;
use crate::testing::simulation::history::{Basis, KeyHistory, Read, WriteOutcome};

/// For each write of a key, the writes that it replaced: those that it certainly did, by what its client declared, and those that it
/// may have.
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
    pub(super) fn insert(&mut self, write: usize) {
        self.0[write / 64] |= 1 << (write % 64);
    }

    pub(super) fn contains(&self, write: usize) -> bool {
        self.0[write / 64] >> (write % 64) & 1 == 1
    }

    pub(super) fn union(&mut self, other: &Set) {
        for (word, theirs) in self.0.iter_mut().zip(&other.0) {
            *word |= theirs;
        }
    }

    /// The first write that is in `self` and in none of `others`.
    pub(super) fn first_outside(&self, others: &[&Set]) -> Option<usize> {
        self.0.iter().enumerate().find_map(|(index, word)| {
            let left = others.iter().fold(*word, |left, other| left & !other.0[index]);
            (left != 0).then(|| index * 64 + left.trailing_zeros() as usize)
        })
    }
}

impl Pasts {
    pub(super) fn new(key: &KeyHistory, dots: &[Vec<Dot>]) -> Self {
        let words = key.writes.len().div_ceil(64).max(1);
        let mut pasts = Pasts { certain: Vec::new(), possible: Vec::new(), words };
        for write in 0..key.writes.len() {
            pasts.add(key, dots, write);
        }
        pasts
    }

    /// A context names versions that its reader saw, and all that those replaced; so do the sets.
    fn add(&mut self, key: &KeyHistory, dots: &[Vec<Dot>], place: usize) {
        let write = &key.writes[place];
        let mut certain = self.empty();
        let mut possible = self.empty();
        match (&write.basis, &write.outcome) {
            (_, WriteOutcome::NotApplied | WriteOutcome::NothingToDelete) | (Basis::Nothing, _) => {}
            (Basis::Read(read), _) => {
                self.include_gone(key, &key.reads[*read], &mut possible);
                for seen in key.reads[*read].values.iter().filter_map(|seen| seen.write) {
                    self.include(key, seen, &mut certain, &mut possible);
                }
            }
            (Basis::Answer(before), _) => self.include(key, *before, &mut certain, &mut possible),
            (Basis::Overwrite, WriteOutcome::Applied(_, named)) if !write.is_retried => {
                for (other, dots) in dots.iter().enumerate() {
                    if other != place && dots.iter().any(|dot| named.contains(*dot)) {
                        if !key.writes[other].is_retried {
                            certain.insert(other);
                        }
                        possible.insert(other);
                        // What is named may no longer name what it replaced itself: pasts go with epochs.
                        if other < place {
                            certain.union(&self.certain[other]);
                            possible.union(&self.possible[other]);
                        }
                    }
                }
            }
            (Basis::Overwrite, _) if key.by_stamp && !write.is_change() => {}
            (Basis::Overwrite, _) => {
                for (other, candidate) in key.writes.iter().enumerate() {
                    if other != place && candidate.start_us < write.reads_until_us {
                        possible.insert(other);
                    }
                }
            }
        }
        self.certain.push(certain);
        self.possible.push(possible);
    }

    /// What had expired for the reader was not shown, and is in its context all the same.
    fn include_gone(&self, key: &KeyHistory, read: &Read, possible: &mut Set) {
        for (write, of) in self.possible.iter().enumerate() {
            let gone = &key.writes[write];
            if !gone.is_delete() && gone.start_us < read.end_us && gone.may_be_gone(read.clock.until_ms) {
                possible.insert(write);
                possible.union(of);
            }
        }
    }

    fn include(&self, key: &KeyHistory, write: usize, certain: &mut Set, possible: &mut Set) {
        // Only a write that began earlier can have been seen, so its own past is known.
        if let (Some(of), Some(at_most)) = (self.certain.get(write), self.possible.get(write)) {
            if !key.writes[write].is_retried {
                certain.insert(write);
            }
            certain.union(of);
            possible.insert(write);
            possible.union(at_most);
        }
    }

    pub(super) fn empty(&self) -> Set {
        Set(vec![0; self.words])
    }

    /// What `write` certainly replaced.
    pub(super) fn certain(&self, write: usize) -> &Set {
        &self.certain[write]
    }

    /// What `write` may have replaced.
    pub(super) fn possible(&self, write: usize) -> &Set {
        &self.possible[write]
    }
}
