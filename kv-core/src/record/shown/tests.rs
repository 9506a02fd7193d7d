use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::causality::{Actor, Stamp};
use crate::ids::Incarnation;
use crate::record::Draft;
use crate::resolver::{ConflictResolver, KeepSiblings, LastWriteWins};

/// One step of a history at one of three replicas, each of which counts for itself.
#[derive(Debug, Clone)]
enum Step {
    /// A new value, which replaces what is there if it was `seen`, expires at that time if at any, and has that id if any.
    Put {
        at: usize,
        seen: bool,
        expires_at_ms: Option<u64>,
        id: Option<u8>,
    },
    /// Another expiry of the one value that is there.
    Expire {
        at: usize,
        expires_at_ms: Option<u64>,
    },
    Merge {
        from: usize,
        to: usize,
    },
}

/// Times that pass, one after the other.
const ENDS_MS: u64 = 6;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moment = || proptest::option::of(1..ENDS_MS);
    let put = (0usize..3, any::<bool>(), moment(), proptest::option::of(0u8..3))
        .prop_map(|(at, seen, expires_at_ms, id)| Step::Put { at, seen, expires_at_ms, id });
    let expire = (0usize..3, moment()).prop_map(|(at, expires_at_ms)| Step::Expire { at, expires_at_ms });
    let merge = (0usize..3, 0usize..3).prop_map(|(from, to)| Step::Merge { from, to });
    proptest::collection::vec(prop_oneof![2 => put, 1 => expire, 2 => merge], 1..16)
}

/// Every record that the history made, and every version.
fn made(steps: &[Step], resolver: &dyn ConflictResolver) -> (Vec<Record>, Vec<Version>) {
    let mut replicas = vec![Record::new(); 3];
    let (mut records, mut versions) = (Vec::new(), Vec::new());
    for (count, step) in steps.iter().enumerate() {
        let count = count as u64 + 1;
        let (at, context, draft) = match *step {
            Step::Merge { from, to } => {
                let other = replicas[from].clone();
                replicas[to].merge(other, resolver);
                records.push(replicas[to].clone());
                continue;
            }
            Step::Put { at, seen, expires_at_ms, id } => {
                let context = if seen { replicas[at].context() } else { Context::default() };
                let value = match id {
                    Some(id) => Bytes::from(vec![id]),
                    None => Bytes::from(format!("value {count}")),
                };
                let id = id.map(|id| WriteId([id; 16]));
                (at, context, Draft { value: Some(value), expires_at_ms, value_stamp: None, id })
            }
            Step::Expire { at, expires_at_ms } => {
                let live: Vec<&Version> = replicas[at].versions().iter().collect();
                let [only] = live.as_slice() else { continue };
                let draft =
                    Draft { expires_at_ms, value_stamp: Some(only.stamp), ..Draft::of(only.value.clone()) };
                (at, Record::context_of(std::iter::once(*only)), draft)
            }
        };
        let actor = Actor { incarnation: Incarnation(at as u64), birth: 1 };
        // Clocks of replicas differ.
        let stamp = Stamp(context.stamp.0.max(replicas[at].stamp().0).max(count * (at as u64 + 1)) + 1);
        let version = draft.into_version(Dot { actor, counter: count }, context.dots, stamp);
        versions.push(version.clone());
        replicas[at].add(version, resolver);
        records.push(replicas[at].clone());
    }
    (records, versions)
}

fn merged(mut a: Record, b: &Record, resolver: &dyn ConflictResolver) -> Record {
    a.merge(b.clone(), resolver);
    a
}

/// Merging stays commutative, associative and idempotent, and what is shown does not depend on the order.
fn laws(steps: &[Step], resolver: &dyn ConflictResolver) -> Result<(), TestCaseError> {
    let (records, _) = made(steps, resolver);
    for a in &records {
        prop_assert_eq!(&merged(a.clone(), a, resolver), a, "idempotent");
        for b in &records {
            let ab = merged(a.clone(), b, resolver);
            prop_assert_eq!(&ab, &merged(b.clone(), a, resolver), "commutative");
            for c in &records {
                let left = merged(ab.clone(), c, resolver);
                let right = merged(a.clone(), &merged(b.clone(), c, resolver), resolver);
                prop_assert_eq!(left, right, "associative");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn records_with_expiries_and_ids_merge_as_a_join(steps in steps()) {
        laws(&steps, &KeepSiblings)?;
        laws(&steps, &LastWriteWins)?;
    }

    #[test]
    fn what_wins_is_above_all_by_stamp_and_then_by_the_stamp_of_its_expiry(steps in steps()) {
        let (_, versions) = made(&steps, &LastWriteWins);
        let mut record = Record::new();
        for version in &versions {
            record.add(version.clone(), &LastWriteWins);
        }
        let rank = |version: &Version| (version.stamp, version.expiry_stamp(), version.dot);
        prop_assert_eq!(record.versions().first().map(rank), versions.iter().map(rank).max());
    }

    #[test]
    fn a_change_of_an_expiry_is_above_what_it_replaces_and_below_every_value_stamped_later(steps in steps()) {
        let (_, versions) = made(&steps, &LastWriteWins);
        let pair = |version: &Version| (version.stamp, version.expiry_stamp());
        for version in &versions {
            for other in &versions {
                prop_assert!(!version.past.contains(other.dot) || pair(version) > pair(other));
                prop_assert!(other.stamp <= version.stamp || pair(other) > pair(version));
            }
        }
    }

    #[test]
    fn the_winner_is_chosen_before_its_expiry_is_judged(steps in steps(), wall_ms in 0..ENDS_MS) {
        let (records, _) = made(&steps, &LastWriteWins);
        for a in &records {
            for b in &records {
                let both = merged(a.clone(), b, &LastWriteWins);
                let winner = both.versions().first().cloned();
                let shown: Vec<Version> = both.into_shown(wall_ms).collect();
                prop_assert_eq!(shown.first().cloned(), winner.filter(|winner| winner.is_live(wall_ms)));
            }
        }
    }

    #[test]
    fn each_value_is_shown_until_it_expires_and_each_write_once(steps in steps(), wall_ms in 0..ENDS_MS) {
        let (records, _) = made(&steps, &KeepSiblings);
        for record in records {
            let held = record.versions().to_vec();
            let shown: Vec<Version> = record.clone().into_shown(wall_ms).collect();
            for version in &held {
                let expired = version.expires_at_ms().is_some_and(|at_ms| at_ms <= wall_ms);
                let is_shown = shown.iter().any(|other| other.value == version.value);
                prop_assert!(expired || is_shown, "{:?}", version);
                prop_assert!(!expired || !shown.contains(version));
            }
            let ids: Vec<WriteId> = shown.iter().filter_map(|version| version.id).collect();
            let distinct: std::collections::BTreeSet<&WriteId> = ids.iter().collect();
            prop_assert_eq!(ids.len(), distinct.len());
            // Nothing that was hidden is left out of what a reader replaces.
            prop_assert!(held.iter().all(|version| record.context().dots.contains(version.dot)));
            for id in ids {
                let (_, seen) = record.written_as(id).unwrap();
                let tries = held.iter().filter(|version| version.id == Some(id));
                prop_assert!(tries.into_iter().all(|version| seen.dots.contains(version.dot)));
            }
        }
    }
}
