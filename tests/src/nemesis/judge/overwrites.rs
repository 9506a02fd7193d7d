use crate::nemesis::history::{Outcome, Replaces};
use crate::nemesis::judge::key::{KeyHistory, may_be_there};
use crate::nemesis::judge::pasts::Pasts;
use crate::nemesis::judge::{Found, Rule};

/// Four epochs take longer, in microseconds: what was deleted later is still there.
const REAPING_US: u64 = 1_000_000;

/// An overwrite that begins after a write was acknowledged, and has asked so many owners that it met one of them, replaces it; unless it was deleted
/// so long ago that both are gone.
pub(super) fn check(key: &KeyHistory<'_>, pasts: &Pasts, found: &mut Found) {
    // Where stamps decide an overwrite reads nothing.
    if key.bucket.by_stamp {
        return;
    }
    for (place, overwrite) in key.puts.iter().enumerate() {
        if !matches!(overwrite.replaces, Replaces::Overwrite(_)) || overwrite.outcome != Outcome::Applied {
            continue;
        }
        for (other, put) in key.puts.iter().enumerate() {
            let is_due = put.outcome == Outcome::Applied
                && put.end_us < overwrite.begin_us
                && overwrite.owners_read + put.owners > key.bucket.replicas;
            if is_due
                && !pasts.certain(place).contains(other)
                && !may_be_gone(key, pasts, other, overwrite.end_us)
            {
                let what = format!(
                    "overwrite {}, begun at {} us, does not replace write {}, acknowledged at {} us",
                    overwrite.write, overwrite.begin_us, put.write, put.end_us
                );
                found.push((Rule::OverwritesAreRegular, what));
            }
        }
    }
}

/// Whether a write may have left the stores by then: it is a delete, or one may have replaced it, long ago.
fn may_be_gone(key: &KeyHistory<'_>, pasts: &Pasts, place: usize, at_us: u64) -> bool {
    key.puts.iter().enumerate().any(|(delete, put)| {
        let replaced = delete == place || pasts.possible(delete).contains(place);
        put.delete && may_be_there(put) && put.begin_us + REAPING_US <= at_us && replaced
    })
}
