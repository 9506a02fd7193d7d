//! Judges what clients sent and saw. No checker looks at what servers store or compute; the sets of dots that an answered overwrite names
//! are what the client was told.

mod dots;
mod expiries;
mod overwrites;
mod pasts;
mod reads;
mod siblings;
mod travel;
mod values;

use crate::testing::simulation::Violation;
use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::history::{History, KeyHistory};

/// Everything that goes against a promise in `history`.
pub(super) fn check_history(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for key in &history.keys {
        check_key(key, &mut violations);
    }
    violations
}

fn check_key(key: &KeyHistory, violations: &mut Vec<Violation>) {
    let before = violations.len();
    values::check(key, violations);
    expiries::check(key, violations);
    let dots = dots::check(key, violations);
    // What follows reasons about causality, which strange values and doubled names would only confuse.
    if violations.len() > before {
        return;
    }
    let pasts = Pasts::new(key, &dots);
    siblings::check(key, &pasts, violations);
    reads::check(key, &pasts, violations);
    reads::check_listed(key, &pasts, violations);
    overwrites::check(key, &pasts, violations);
    expiries::check_changes(key, &pasts, violations);
    travel::check(key, &pasts, violations);
}

#[cfg(test)]
mod tests;
