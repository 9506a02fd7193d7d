use crate::testing::simulation::check::pasts::Pasts;
use crate::testing::simulation::history::KeyHistory;
use crate::testing::simulation::{Check, Violation};

/// No two values of one answer are such that one replaced the other; and where stamps decide there is one value.
pub(super) fn check(key: &KeyHistory, pasts: &Pasts, violations: &mut Vec<Violation>) {
    for read in &key.reads {
        let mut violated = |what: String| {
            let message = format!("{}: a get that ended at {} us {what}", key.name, read.end_us);
            violations.push(Violation { check: Check::SiblingsAreConcurrent, message });
        };
        if key.by_stamp && read.values.len() > 1 {
            violated(format!("showed {} values where stamps decide", read.values.len()));
        }
        let shown = || read.values.iter().filter_map(|seen| seen.write);
        for (index, write) in shown().enumerate() {
            if shown().skip(index + 1).any(|other| other == write) {
                violated(format!("showed write {} twice", key.writes[write].id));
            }
            for replaced in shown().filter(|other| pasts.certain(write).contains(*other)) {
                let (new, old) = (key.writes[write].id, key.writes[replaced].id);
                violated(format!("showed write {old} beside write {new}, which replaced it"));
            }
        }
    }
}
