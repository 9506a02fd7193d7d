use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::history::{Basis, KeyHistory, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// Four epochs take longer, in microseconds: what was deleted later, or has expired later, is still there.
const REAPING_US: u64 = 40_000;

/// An overwrite that starts after an acknowledged write, with R + W > N, reads a replica that has it, and so replaces it; unless it was deleted, or
/// has expired, so long ago that both are gone.
pub(super) fn check(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    // Where stamps decide an overwrite reads nothing.
    if key.by_stamp {
        return;
    }
    for (place, overwrite) in key.writes.iter().enumerate() {
        let is_applied = matches!(overwrite.outcome, WriteOutcome::Applied(..));
        // A change of an expiry replaces one value and nothing else; of what was tried again nobody knows which try is meant.
        if overwrite.basis != Basis::Overwrite || !is_applied || overwrite.is_change() || overwrite.is_retried
        {
            continue;
        }
        for (other, write) in key.writes.iter().enumerate() {
            let is_due = matches!(write.outcome, WriteOutcome::Applied(..))
                && !write.is_retried
                && write.end_us < overwrite.start_us
                && overwrite.r + write.w > key.replicas
                && !key.is_forgotten(write, (overwrite.start_us, overwrite.end_us));
            if is_due
                && !pasts.certain(place).contains(other)
                && !may_have_left(key, pasts, other, overwrite.end_us)
            {
                let message = format!(
                    "{}: overwrite {}, begun at {} us, does not name write {}, acknowledged at {} us",
                    key.name, overwrite.id, overwrite.start_us, write.id, write.end_us
                );
                violations.push(Violation { check: Check::OverwritesAreRegular, message });
            }
        }
    }
}

/// Whether a write may have left the stores by then: it may be gone, or something that may be had replaced it, long ago.
fn may_have_left(key: &KeyHistory, pasts: &Pasts, place: usize, at_us: u64) -> bool {
    key.writes.iter().enumerate().any(|(mortal, write)| {
        let is_it = mortal == place || pasts.possible(mortal).contains(place);
        let may_be_there = !matches!(write.outcome, WriteOutcome::NotApplied | WriteOutcome::NothingToDelete);
        is_it && may_be_there && write.may_be_gone(u64::MAX) && write.start_us + REAPING_US <= at_us
    })
}
