use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::check::reads::first_missing;
use crate::testing::simulation::history::KeyHistory;
use crate::testing::simulation::{Check, Violation};

/// A put that all owners acknowledged leaves each of them with what its coordinator had, or with what replaced that.
pub(super) fn check(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    for handed_on in &key.handed_on {
        let mut due = pasts.empty();
        due.insert(handed_on.put);
        for seen in key.reads[handed_on.before].values.iter().filter_map(|seen| seen.write) {
            due.insert(seen);
        }
        if let Some(missing) = first_missing(key, pasts, &key.reads[handed_on.after], &due) {
            let (missing, put) = (key.writes[missing].id, key.writes[handed_on.put].id);
            let message =
                format!("{}: all owners acknowledged write {put}, and one misses write {missing}", key.name);
            violations.push(Violation { check: Check::WholeRecordsTravel, message });
        }
    }
}
