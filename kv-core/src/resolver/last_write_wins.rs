use crate::resolver::{Candidate, ConflictResolver};

/// Keeps the version with the highest stamps and drops the others: one value per key, at the price that acknowledged concurrent
/// writes are discarded. Opt-in per bucket; the bucket `redis` uses it.
#[derive(Debug, Clone, Copy, Default)]
pub struct LastWriteWins;

impl ConflictResolver for LastWriteWins {
    fn name(&self) -> String {
        "last_write_wins".into()
    }

    fn keep(&self, candidates: &[Candidate<'_>], kept: &mut [bool]) {
        // The dot breaks ties, so that every replica makes the same choice.
        let rank = |candidate: &Candidate<'_>| (candidate.stamp, candidate.expiry_stamp, candidate.dot);
        let highest = candidates.iter().map(rank).max();
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = Some(rank(candidate)) == highest;
        }
    }

    fn replaces_by_stamp(&self) -> bool {
        true
    }
}
