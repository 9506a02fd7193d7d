use std::collections::BTreeMap;

use crate::causality::Dot;
use crate::testing::simulation::history::{KeyHistory, WriteOutcome};
use crate::testing::simulation::{Check, Violation};

/// A dot names one write, and a write has one dot (a write with two was made twice). Returns the dots that clients know.
/// One that was tried again may have two.
pub(super) fn check(key: &KeyHistory, violations: &mut Vec<Violation>) -> Vec<Vec<Dot>> {
    let mut dots: Vec<Vec<Dot>> = vec![Vec::new(); key.writes.len()];
    let mut names: BTreeMap<Dot, usize> = BTreeMap::new();
    let acknowledged = key.writes.iter().enumerate().filter_map(|(place, write)| match &write.outcome {
        WriteOutcome::Applied(dot, _) => Some((place, *dot)),
        _ => None,
    });
    let seen = key.reads.iter().flat_map(|read| &read.values);
    let seen = seen.filter_map(|seen| Some((seen.write?, seen.dot)));
    for (place, dot) in acknowledged.chain(seen) {
        let known = dots[place].first().copied().unwrap_or(dot);
        let named = *names.entry(dot).or_insert(place);
        let id = key.writes[place].id;
        if !dots[place].contains(&dot) {
            dots[place].push(dot);
        }
        if known != dot && !key.writes[place].is_retried {
            let message = format!("{}: write {id} was made twice, as {known} and as {dot}", key.name);
            violations.push(Violation { check: Check::DotsAreUnique, message });
        }
        if named != place {
            let other = key.writes[named].id;
            let message = format!("{}: {dot} names the writes {other} and {id}", key.name);
            violations.push(Violation { check: Check::DotsAreUnique, message });
        }
    }
    dots
}
