use std::collections::BTreeSet;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sample::{candidates, values};
use crate::causality::{Dot, Stamp};
use crate::resolver::{Candidate, ConflictResolver};

/// Random sets that each law is tried on.
const ROUNDS: usize = 2_000;

/// The candidates that stay. A set of one is never asked about: it stays.
fn keep<'a>(resolver: &dyn ConflictResolver, candidates: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let mut kept = vec![true; candidates.len()];
    if candidates.len() > 1 {
        resolver.keep(candidates, &mut kept);
    }
    candidates.iter().zip(kept).filter(|(_, kept)| *kept).map(|(candidate, _)| *candidate).collect()
}

fn dots(candidates: &[Candidate<'_>]) -> BTreeSet<Dot> {
    candidates.iter().map(|candidate| candidate.dot).collect()
}

fn describe(candidates: &[Candidate<'_>]) -> String {
    let words = candidates.iter().map(|Candidate { dot, stamp, expiry_stamp, value }| {
        let value = value.map(|value| value.get(..value.len().min(16)).unwrap_or_default().escape_ascii());
        let value = value.map_or("a tombstone".into(), |value| format!("\"{value}\""));
        format!("{dot} at {stamp} / {expiry_stamp}: {value}")
    });
    words.collect::<Vec<_>>().join("; ")
}

pub(super) fn keep_is_of_the_set(resolver: &dyn ConflictResolver) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let values = values(&mut random);
    for _ in 0..ROUNDS {
        let mut set = candidates(&mut random, &values);
        let kept = dots(&keep(resolver, &set));
        if kept.is_empty() {
            return Err(format!("keeps nothing of {}", describe(&set)));
        }
        set.shuffle(&mut random);
        if dots(&keep(resolver, &set)) != kept {
            return Err(format!("keeps otherwise in the order {}", describe(&set)));
        }
        for _ in 0..random.random_range(1..3) {
            let again = set.choose(&mut random).copied();
            let place = random.random_range(0..=set.len());
            set.splice(place..place, again);
        }
        if dots(&keep(resolver, &set)) != kept {
            return Err(format!("keeps otherwise with repetitions: {}", describe(&set)));
        }
    }
    Ok(())
}

pub(super) fn keep_in_steps(resolver: &dyn ConflictResolver) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let values = values(&mut random);
    for _ in 0..ROUNDS {
        let all = candidates(&mut random, &values);
        let at_once = dots(&keep(resolver, &all));
        // The first part may share candidates with the rest, as two replicas do.
        let (first, rest) = all.split_at(random.random_range(1..all.len()));
        let mut stepwise = keep(resolver, first);
        let shared = first.choose(&mut random).filter(|_| random.random());
        stepwise.extend(rest.iter().chain(shared).copied());
        let mut seen = BTreeSet::new();
        stepwise.retain(|candidate| seen.insert(candidate.dot));
        if dots(&keep(resolver, &stepwise)) != at_once {
            let first = first.len();
            return Err(format!("keeps otherwise if it sees the first {first} before: {}", describe(&all)));
        }
    }
    Ok(())
}

pub(super) fn combine_is_of_the_set(resolver: &dyn ConflictResolver) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let values = values(&mut random);
    for round in 0..ROUNDS {
        // Small sets of the short values meet in every combination.
        let from = if round % 2 == 0 { values.get(..14).unwrap_or(&values) } else { &values };
        let count = random.random_range(2..6);
        let mut set: Vec<&[u8]> = from.sample(&mut random, count).map(Vec::as_slice).collect();
        let combined = resolver.combine(&set);
        for _ in 0..4 {
            set.shuffle(&mut random);
            if resolver.combine(&set) != combined {
                return Err(format!("combines otherwise in the order {}", words(&set)));
            }
        }
        let again = set.choose(&mut random).copied();
        let place = random.random_range(0..=set.len());
        set.splice(place..place, again);
        if resolver.combine(&set) != combined {
            return Err(format!("combines otherwise with a repetition: {}", words(&set)));
        }
    }
    Ok(())
}

fn words(values: &[&[u8]]) -> String {
    let words = values
        .iter()
        .map(|value| format!("\"{}\"", value.get(..value.len().min(16)).unwrap_or_default().escape_ascii()));
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn any_value(resolver: &dyn ConflictResolver) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let values = values(&mut random);
    let everything: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    resolver.combine(&everything);
    for first in &everything {
        for second in &everything {
            resolver.combine(&[*first, *second]);
        }
    }
    let mut all = Vec::new();
    for _ in 0..50 {
        all.extend(candidates(&mut random, &values));
    }
    // Stamps at the ends of their range.
    for (candidate, stamp) in all.iter_mut().zip([0, 1, u64::MAX - 1, u64::MAX]) {
        (candidate.stamp, candidate.expiry_stamp) = (Stamp(stamp), Stamp(stamp));
    }
    keep(resolver, &all);
    for pair in all.windows(2) {
        keep(resolver, pair);
    }
    let tombstones: Vec<_> = all.iter().map(|candidate| Candidate { value: None, ..*candidate }).collect();
    keep(resolver, &tombstones);
    Ok(())
}
