use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ids::Incarnation;

fn dots() -> impl Strategy<Value = BTreeSet<Dot>> {
    let dot = (0u64..3, 1u64..3, 1u64..8).prop_map(|(incarnation, birth, counter)| Dot {
        actor: Actor { incarnation: Incarnation(incarnation), birth },
        counter,
    });
    proptest::collection::btree_set(dot, 0..24)
}

fn every_dot() -> impl Iterator<Item = Dot> {
    (0..3).flat_map(|incarnation| {
        (1..3).flat_map(move |birth| {
            (1..10).map(move |counter| Dot {
                actor: Actor { incarnation: Incarnation(incarnation), birth },
                counter,
            })
        })
    })
}

fn members(set: &DotSet) -> BTreeSet<Dot> {
    every_dot().filter(|dot| set.contains(*dot)).collect()
}

fn encoded(set: &DotSet) -> Vec<u8> {
    let mut out = Vec::new();
    set.encode(&mut out);
    out
}

proptest! {
    #[test]
    fn holds_exactly_the_dots_put_in(model in dots()) {
        let set: DotSet = model.iter().copied().collect();
        prop_assert_eq!(members(&set), model);
    }

    #[test]
    fn insertion_order_does_not_show(model in dots()) {
        let forward: DotSet = model.iter().copied().collect();
        let backward: DotSet = model.iter().rev().copied().collect();
        prop_assert_eq!(encoded(&forward), encoded(&backward));
    }

    #[test]
    fn union_and_intersection_are_those_of_sets(a in dots(), b in dots()) {
        let (left, right): (DotSet, DotSet) = (a.iter().copied().collect(), b.iter().copied().collect());
        let mut union = left.clone();
        union.union(&right);
        prop_assert_eq!(members(&union), a.union(&b).copied().collect::<BTreeSet<_>>());
        let expected: DotSet = a.intersection(&b).copied().collect();
        prop_assert_eq!(left.intersection(&right), expected);
        prop_assert_eq!(left.is_superset(&right), a.is_superset(&b));
    }

    #[test]
    fn highest_is_the_highest(model in dots()) {
        let set: DotSet = model.iter().copied().collect();
        for dot in every_dot() {
            let highest = model.iter().filter(|d| d.actor == dot.actor).map(|d| d.counter).max();
            prop_assert_eq!(set.highest(dot.actor), highest.unwrap_or(0));
        }
    }

    #[test]
    fn encoding_round_trips(model in dots()) {
        let set: DotSet = model.iter().copied().collect();
        let bytes = encoded(&set);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(DotSet::decode(&mut reader).unwrap(), set);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(set) = DotSet::decode(&mut reader) {
            let used = bytes.len() - reader.remaining();
            prop_assert_eq!(encoded(&set), bytes[..used].to_vec());
        }
    }
}
