use crate::testing::simulation::check::pasts::{Pasts, Set};
use crate::testing::simulation::history::{KeyHistory, Listed, Read, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// A get that starts after an acknowledged write, with R + W > N, meets a replica that has it. So it shows the write or something that
/// replaced it, and nothing that the write replaced. The same holds for the reads of the end, which ask all replicas: there a write
/// that is missing is lost.
pub(super) fn check(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    for read in &key.reads {
        let check = if read.is_final { Check::NoWriteLost } else { Check::ReadsAreRegular };
        let mut violated = |what: String| {
            let shown = read.values.iter().filter_map(|seen| seen.write).map(|write| key.writes[write].id);
            let message = format!(
                "{}: a get of {} from {} to {} us, which showed {:?}, {what}",
                key.name,
                read.r,
                read.start_us,
                read.end_us,
                shown.collect::<Vec<_>>()
            );
            violations.push(Violation { check, message });
        };
        // In the end everything was delivered that others had kept for owners.
        let due = due(key, pasts, (read.start_us, read.end_us, read.r), read.is_final);
        if let Some(write) = first_missing(key, pasts, read, &due) {
            let write = &key.writes[write];
            violated(format!(
                "misses write {}, acknowledged at {} us by {}",
                write.id, write.end_us, write.w
            ));
        }
        for seen in read.values.iter().filter_map(|seen| seen.write) {
            let replaced = |place: &usize| due.contains(*place) && pasts.certain(*place).contains(seen);
            if let Some(newer) = (0..key.writes.len()).find(replaced) {
                let (old, newer) = (key.writes[seen].id, key.writes[newer].id);
                violated(format!("showed write {old}, which write {newer} had replaced"));
            }
        }
    }
}

/// A page that lists a key says that it has a value: some write of one must be there that has not expired and that nothing which is due has
/// replaced.
pub(super) fn check_listed(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    for listed in &key.listed {
        let due = due(key, pasts, (listed.start_us, listed.end_us, listed.r), false);
        let may_be_there = key.writes.iter().enumerate().any(|(place, write)| {
            !write.is_delete()
                && write.lifetime().is_none_or(|lifetime| lifetime.at_ms > listed.clock.from_ms)
                && !matches!(write.outcome, WriteOutcome::NotApplied)
                && write.start_us < listed.end_us
                && !(0..key.writes.len())
                    .any(|newer| due.contains(newer) && pasts.certain(newer).contains(place))
        });
        if !may_be_there {
            let Listed { start_us, end_us, r, .. } = listed;
            let message = format!(
                "{}: a page with R = {r} from {start_us} to {end_us} us lists it, and it has no value",
                key.name
            );
            violations.push(Violation { check: Check::ReadsAreRegular, message });
        }
    }
}

/// The writes, deletes included, that were acknowledged before the read began, by so many that the read meets one of them.
fn due(key: &KeyHistory, pasts: &Pasts, (start_us, end_us, r): (u64, u64, usize), is_final: bool) -> Set {
    let mut due = pasts.empty();
    for (place, write) in key.writes.iter().enumerate() {
        let acknowledged = matches!(write.outcome, WriteOutcome::Applied(..));
        let is_met = r + write.w > key.replicas && !key.is_forgotten(write, (start_us, end_us));
        if acknowledged && write.end_us < start_us && (is_final || is_met) {
            due.insert(place);
        }
    }
    due
}

/// A value that is due and neither shown nor replaced by what is shown, nor expired, nor replaced by a delete, or by something that has
/// expired, that may have been there.
pub(super) fn first_missing(key: &KeyHistory, pasts: &Pasts, read: &Read, due: &Set) -> Option<usize> {
    let mut explained = pasts.empty();
    let mut may_be_deleted = false;
    for (place, write) in key.writes.iter().enumerate() {
        if !write.may_be_gone(read.clock.until_ms) {
            continue;
        }
        explained.insert(place);
        let may_be_there = !matches!(write.outcome, WriteOutcome::NotApplied | WriteOutcome::NothingToDelete);
        if may_be_there && write.start_us < read.end_us {
            explained.union(pasts.possible(place));
            may_be_deleted = true;
        }
    }
    for seen in read.values.iter().filter_map(|seen| seen.write) {
        explained.insert(seen);
        explained.union(pasts.possible(seen));
    }
    let missing = due.first_outside(&[&explained])?;
    // Where stamps decide, any write may go for any concurrent one; but something must be there.
    let gone_by_stamp = key.by_stamp && (!read.values.is_empty() || may_be_deleted);
    (!gone_by_stamp).then_some(missing)
}
