use std::collections::BTreeSet;

use bytes::Bytes;

use super::check;
use crate::resolver::{Candidate, CombineWith, ConflictResolver, KeepSiblings, LastWriteWins};

#[test]
fn built_in_resolvers_pass() {
    check(&KeepSiblings).assert_passed();
    check(&LastWriteWins).assert_passed();
    let union = CombineWith::new("union of lines", |values| {
        let lines: BTreeSet<&[u8]> =
            values.iter().flat_map(|value| value.split(|byte| *byte == b'\n')).collect();
        Some(lines.into_iter().collect::<Vec<_>>().join(&b'\n').into())
    });
    check(&union).assert_passed();
}

/// A resolver whose `keep` is a closure.
struct KeepMutant<F>(F);

impl<F> std::fmt::Debug for KeepMutant<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeepMutant")
    }
}

impl<F: Fn(&[Candidate<'_>], &mut [bool]) + Send + Sync + 'static> ConflictResolver for KeepMutant<F> {
    fn name(&self) -> String {
        "mutant".into()
    }

    fn keep(&self, candidates: &[Candidate<'_>], kept: &mut [bool]) {
        (self.0)(candidates, kept);
    }
}

fn failed_keep(keep: impl Fn(&[Candidate<'_>], &mut [bool]) + Send + Sync + 'static) -> Vec<&'static str> {
    check(&KeepMutant(keep)).failed_ids()
}

fn failed_combine(combine: impl Fn(&[&[u8]]) -> Option<Bytes> + Send + Sync + 'static) -> Vec<&'static str> {
    check(&CombineWith::new("mutant", combine)).failed_ids()
}

#[test]
fn keeping_nothing_breaks_r_01() {
    assert!(failed_keep(|_, kept| kept.fill(false)).contains(&"R-01"));
}

#[test]
fn keeping_the_first_breaks_r_01() {
    let failed = failed_keep(|_, kept| {
        kept.fill(false);
        kept[0] = true;
    });
    assert!(failed.contains(&"R-01"), "{failed:?}");
}

#[test]
fn last_write_wins_by_the_stamp_and_then_the_order_breaks_r_01() {
    let failed = failed_keep(|candidates, kept| {
        kept.fill(false);
        let last = candidates.iter().enumerate().max_by_key(|(_, candidate)| candidate.stamp).unwrap();
        kept[last.0] = true;
    });
    assert!(failed.contains(&"R-01"), "{failed:?}");
}

#[test]
fn dropping_repetitions_counted_as_votes_breaks_r_01() {
    // The value that most candidates have stays: repetition makes a majority.
    let failed = failed_keep(|candidates, kept| {
        let votes = |value| candidates.iter().filter(|candidate| candidate.value == value).count();
        let most = candidates.iter().map(|candidate| votes(candidate.value)).max();
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = Some(votes(candidate.value)) == most;
        }
    });
    assert!(failed.contains(&"R-01"), "{failed:?}");
}

#[test]
fn keeping_what_is_above_the_mean_breaks_r_02() {
    let failed = failed_keep(|candidates, kept| {
        let dots: BTreeSet<_> =
            candidates.iter().map(|candidate| (candidate.dot, candidate.stamp.0)).collect();
        let sum: u128 = dots.iter().map(|(_, stamp)| u128::from(*stamp)).sum();
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = u128::from(candidate.stamp.0) * dots.len() as u128 >= sum;
        }
    });
    assert!(failed.contains(&"R-02"), "{failed:?}");
}

#[test]
fn keeping_the_least_and_dropping_it_beside_two_others_breaks_r_02() {
    let failed = failed_keep(|candidates, kept| {
        let dots: BTreeSet<_> = candidates.iter().map(|candidate| candidate.dot).collect();
        let chosen = if dots.len() % 2 == 0 { dots.first() } else { dots.last() };
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = Some(&candidate.dot) == chosen;
        }
    });
    assert!(failed.contains(&"R-02"), "{failed:?}");
}

/// Keeps the one candidate that is highest by `rank`.
fn failed_highest<R: Ord>(rank: impl Fn(&Candidate<'_>) -> R + Send + Sync + 'static) -> Vec<&'static str> {
    failed_keep(move |candidates, kept| {
        let highest = candidates.iter().map(&rank).max();
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = Some(rank(candidate)) == highest;
        }
    })
}

#[test]
fn a_total_order_that_does_not_follow_the_stamps_breaks_r_03_alone() {
    // Each is a law-abiding choice on sets of candidates; a version that a later one replaced drops a third, and is then covered.
    let length = |candidate: &Candidate<'_>| (candidate.value.map(<[u8]>::len), candidate.dot);
    assert_eq!(failed_highest(length), ["R-03"], "the longest value");
    assert_eq!(failed_highest(|candidate| std::cmp::Reverse(candidate.dot)), ["R-03"], "the lowest dot");
    let value = |candidate: &Candidate<'_>| (candidate.value.map(<[u8]>::to_vec), candidate.dot);
    assert_eq!(failed_highest(value), ["R-03"], "the highest value");
    let oldest = |candidate: &Candidate<'_>| (std::cmp::Reverse(candidate.stamp), candidate.dot);
    assert_eq!(failed_highest(oldest), ["R-03"], "the first write");
}

#[test]
fn an_order_that_leaves_out_the_change_of_expiry_breaks_r_03_alone() {
    assert_eq!(failed_highest(|candidate| (candidate.stamp, candidate.dot)), ["R-03"]);
}

#[test]
fn values_above_tombstones_break_r_03_alone() {
    // "A delete never wins": the tombstone of what was read goes, and a copy that comes late is back.
    let failed = failed_keep(|candidates, kept| {
        let live = candidates.iter().any(|candidate| candidate.value.is_some());
        for (candidate, kept) in candidates.iter().zip(kept) {
            *kept = !live || candidate.value.is_some();
        }
    });
    assert_eq!(failed, ["R-03"]);
}

#[test]
fn a_cyclic_preference_breaks_r_04() {
    fn beats(a: &[u8], b: &[u8]) -> bool {
        match (a, b) {
            (b"rock", b"scissors") | (b"scissors", b"paper") | (b"paper", b"rock") => true,
            (b"scissors", b"rock") | (b"paper", b"scissors") | (b"rock", b"paper") => false,
            _ => a > b,
        }
    }
    let failed = failed_combine(|values| {
        let winner =
            values.iter().copied().reduce(|best, value| if beats(value, best) { value } else { best });
        winner.map(Bytes::copy_from_slice)
    });
    assert_eq!(failed, ["R-04"]);
}

#[test]
fn concatenating_in_the_order_given_breaks_r_04() {
    assert_eq!(failed_combine(|values| Some(values.concat().into())), ["R-04"]);
}

#[test]
fn a_sum_that_counts_a_repetition_twice_breaks_r_04() {
    let failed = failed_combine(|values| {
        let sum: u64 = values.iter().map(|value| value.len() as u64).sum();
        Some(Bytes::copy_from_slice(&sum.to_be_bytes()))
    });
    assert_eq!(failed, ["R-04"]);
}

#[test]
fn a_panic_on_values_that_are_not_text_breaks_r_05() {
    let failed = failed_combine(|values| {
        let texts = values.iter().map(|value| std::str::from_utf8(value).expect("text"));
        texts.max().map(|text| Bytes::copy_from_slice(text.as_bytes()))
    });
    assert!(failed.contains(&"R-05"), "{failed:?}");
}

#[test]
fn a_panic_on_tombstones_breaks_r_05() {
    let failed = failed_keep(|candidates, _| {
        assert!(candidates.iter().any(|candidate| candidate.value.is_some()), "a value");
    });
    assert!(failed.contains(&"R-05"), "{failed:?}");
}
