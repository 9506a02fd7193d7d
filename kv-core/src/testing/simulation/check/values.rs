use crate::testing::simulation::history::{KeyHistory, Write, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// Every value that a get showed was written to this key, by a put that had begun and did not say that it was not applied.
pub(super) fn check(key: &KeyHistory, violations: &mut Vec<Violation>) {
    for read in &key.reads {
        for seen in &read.values {
            let mut violated = |check, what: String| {
                let message = format!("{}: a get that ended at {} us {what}", key.name, read.end_us);
                violations.push(Violation { check, message });
            };
            let Some(write) = seen.write.map(|place| &key.writes[place]) else {
                violated(Check::NoStrangeValue, format!("showed a value that nobody wrote, {}", seen.dot));
                continue;
            };
            let origin = seen.origin.map(|place| &key.writes[place]);
            let has_begun = |write: &Write| write.start_us <= read.end_us && !write.is_delete();
            if !has_begun(write) || !origin.is_some_and(has_begun) {
                violated(Check::NoStrangeValue, format!("showed write {}, which had not begun", write.id));
            }
            if [Some(write), origin].into_iter().flatten().any(is_not_applied) {
                let what = format!("showed write {}, which was not applied", write.id);
                violated(Check::NotAppliedStaysAway, what);
            }
        }
    }
}

fn is_not_applied(write: &Write) -> bool {
    matches!(write.outcome, WriteOutcome::NotApplied)
}
