use crate::nemesis::history::{Outcome, Replaces};
use crate::nemesis::judge::key::KeyHistory;
use crate::nemesis::judge::pasts::Pasts;
use crate::nemesis::judge::{Found, Rule};

/// An overwrite that begins after a write was acknowledged, and has asked so many owners that it met one of them, replaces it.
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
            if is_due && !pasts.certain(place).contains(other) {
                let what = format!(
                    "overwrite {}, begun at {} us, does not replace write {}, acknowledged at {} us",
                    overwrite.write, overwrite.begin_us, put.write, put.end_us
                );
                found.push((Rule::OverwritesAreRegular, what));
            }
        }
    }
}
