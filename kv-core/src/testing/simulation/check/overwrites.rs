use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::history::{Basis, KeyHistory, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// An overwrite that starts after an acknowledged write, with R + W > N, reads a replica that has it, and so replaces it.
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
                && overwrite.r + write.w > key.replicas;
            if is_due && !pasts.certain(place).contains(other) {
                let message = format!(
                    "{}: overwrite {}, begun at {} us, does not name write {}, acknowledged at {} us",
                    key.name, overwrite.id, overwrite.start_us, write.id, write.end_us
                );
                violations.push(Violation { check: Check::OverwritesAreRegular, message });
            }
        }
    }
}
