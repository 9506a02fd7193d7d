use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::causality::{Dot, DotSet};
use crate::ids::Incarnation;
use crate::record::Expiry;
use crate::resolver::{KeepSiblings, LastWriteWins};

/// One step of a history at one of three replicas.
#[derive(Debug, Clone)]
enum Step {
    Put { replica: usize, seen: bool, delete: bool },
    Merge { from: usize, to: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (0usize..3, any::<bool>(), any::<bool>()).prop_map(|(replica, seen, delete)| Step::Put {
        replica,
        seen,
        delete,
    });
    let merge = (0usize..3, 0usize..3).prop_map(|(from, to)| Step::Merge { from, to });
    proptest::collection::vec(prop_oneof![2 => put, 1 => merge], 1..20)
}

/// Every record that the history produced, under `resolver`.
fn records(steps: &[Step], resolver: &dyn ConflictResolver) -> Vec<Record> {
    let mut replicas = vec![Record::new(); 3];
    let mut all = Vec::new();
    let mut clock = 0;
    for step in steps {
        match *step {
            Step::Put { replica, seen, delete } => {
                let actor = Actor { incarnation: Incarnation(replica as u64), birth: 1 };
                let context = if seen { replicas[replica].context() } else { Context::default() };
                clock += 1;
                let version = Version {
                    dot: Dot { actor, counter: clock },
                    past: context.dots,
                    stamp: Stamp(context.stamp.0.max(clock) + 1),
                    expiry: None,
                    id: None,
                    value: (!delete).then(|| Bytes::from(clock.to_string())),
                };
                replicas[replica].add(version, resolver);
                all.push(replicas[replica].clone());
            }
            Step::Merge { from, to } => {
                let other = replicas[from].clone();
                replicas[to].merge(other, resolver);
                all.push(replicas[to].clone());
            }
        }
    }
    all
}

fn merged(mut a: Record, b: &Record, resolver: &dyn ConflictResolver) -> Record {
    a.merge(b.clone(), resolver);
    a
}

fn merge_laws(steps: &[Step], resolver: &dyn ConflictResolver) -> Result<(), TestCaseError> {
    let records = records(steps, resolver);
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
    fn merge_is_a_join_when_siblings_are_kept(steps in steps()) {
        merge_laws(&steps, &KeepSiblings)?;
    }

    #[test]
    fn merge_is_a_join_when_the_last_write_wins(steps in steps()) {
        merge_laws(&steps, &LastWriteWins)?;
        for record in records(&steps, &LastWriteWins) {
            prop_assert!(record.versions().len() <= 1);
        }
    }

    #[test]
    fn no_version_is_covered_by_another(steps in steps()) {
        for record in records(&steps, &KeepSiblings) {
            for version in record.versions() {
                prop_assert!(!record.versions().iter().any(|other| other.past.contains(version.dot)));
            }
        }
    }
}

#[test]
fn a_put_with_context_replaces_what_was_read_and_nothing_else() {
    let version = |birth, past: DotSet| Version {
        dot: Dot { actor: Actor { incarnation: Incarnation(1), birth }, counter: 1 },
        past,
        stamp: Stamp(birth),
        expiry: None,
        id: None,
        value: Some(Bytes::new()),
    };
    let mut record = Record::new();
    record.add(version(1, DotSet::new()), &KeepSiblings);
    let read = record.context();
    record.add(version(2, DotSet::new()), &KeepSiblings);
    record.add(version(3, read.dots), &KeepSiblings);
    let births: Vec<u64> = record.versions().iter().map(|version| version.dot.actor.birth).collect();
    assert_eq!(births, [2, 3]);
}

#[test]
fn a_later_change_of_expiry_does_not_lift_an_older_value_above_a_newer_one() {
    let version = |birth, stamp, expiry: Option<u64>| Version {
        dot: Dot { actor: Actor { incarnation: Incarnation(1), birth }, counter: 1 },
        past: DotSet::new(),
        stamp: Stamp(stamp),
        expiry: expiry.map(|stamp| Expiry { at_ms: 1, stamp: Stamp(stamp) }),
        id: None,
        value: Some(Bytes::new()),
    };
    let (old, newer) = (version(3, 10, Some(30)), version(2, 20, None));
    // Of one value the later change of its expiry counts.
    let again = version(1, 20, Some(25));
    for (versions, kept) in
        [([old.clone(), newer.clone()], 2), ([newer, again.clone()], 1), ([again, old], 1)]
    {
        let mut record = Record::new();
        versions.into_iter().for_each(|version| record.add(version, &LastWriteWins));
        let births: Vec<u64> = record.versions().iter().map(|version| version.dot.actor.birth).collect();
        assert_eq!(births, [kept]);
    }
}
