use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::history::{KeyHistory, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// No get shows a value whose expiry had come by its coordinator's clock when it began, and every value expires when its put, or a change of
/// its expiry, said.
pub(super) fn check(key: &KeyHistory, violations: &mut Vec<Violation>) {
    for read in &key.reads {
        for seen in &read.values {
            let Some(write) = seen.write.map(|place| &key.writes[place]) else { continue };
            let mut violated = |check, what: String| {
                let message = format!("{}: a get that ended at {} us {what}", key.name, read.end_us);
                violations.push(Violation { check, message });
            };
            if let Some(at_ms) = seen.expires_at_ms.filter(|at_ms| *at_ms <= read.clock.from_ms) {
                let (id, from_ms) = (write.id, read.clock.from_ms);
                let what = format!("showed write {id}, which expired at {at_ms} ms, at {from_ms} ms");
                violated(Check::ExpiredIsNotShown, what);
            }
            let asked = write.lifetime().map(|lifetime| lifetime.at_ms);
            if asked != seen.expires_at_ms {
                let (id, said) = (write.id, seen.expires_at_ms);
                let what = format!("says that write {id} expires at {said:?} ms, and it said {asked:?}");
                violated(Check::ExpiriesAreKept, what);
            }
        }
    }
}

/// Where stamps decide, a change of an expiry loses to every put that replaced its value: it never shows that value again.
pub(super) fn check_changes(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    for read in key.reads.iter().filter(|_| key.by_stamp) {
        for seen in &read.values {
            let (Some(shown), Some(origin)) = (seen.write, seen.origin) else { continue };
            if shown == origin {
                continue;
            }
            let is_due = |place: usize| {
                let write = &key.writes[place];
                matches!(write.outcome, WriteOutcome::Applied(..))
                    && !write.is_change()
                    && write.end_us < read.start_us
                    && (read.is_final || read.r + write.w > key.replicas)
            };
            let newer =
                (0..key.writes.len()).find(|place| is_due(*place) && pasts.certain(*place).contains(origin));
            if let Some(newer) = newer {
                let (shown, origin, newer) =
                    (key.writes[shown].id, key.writes[origin].id, key.writes[newer].id);
                let message = format!(
                    "{}: a get that ended at {} us showed write {origin} by change {shown} of its expiry, though write {newer} had replaced it",
                    key.name, read.end_us
                );
                violations.push(Violation { check: Check::ExpiriesAreKept, message });
            }
        }
    }
}
