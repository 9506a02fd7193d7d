//! The rule by which what is deleted, expired or replaced for good leaves the stores holds in a model, and each broken one is found:
//! docs/epochs.md.

use clap::ValueEnum;
use kv_tests::epochs::configurations::{Configuration, small};
use kv_tests::epochs::search::{every_state, search};
use kv_tests::epochs::stories;
use kv_tests::epochs::variant::Variant;

/// Steps of a walk.
const LENGTH: usize = 60;

/// Broken rules, each with a walk that finds it.
const FOUND: &[(Variant, Configuration, u64)] = &[
    (Variant::ReapsAfterOne, Configuration::Large, 4),
    (Variant::ReapsAfterTwo, Configuration::Silent, 5),
    (Variant::ReapsAfterThree, Configuration::Silent, 10_283),
    (Variant::OneExchangeIsEnough, Configuration::StandIns, 27),
    (Variant::CountsThoseBehind, Configuration::StandIns, 43),
    (Variant::EarlierLivesCount, Configuration::StandIns, 16_764),
    (Variant::EarlierExchangesCount, Configuration::Lost, 41),
    (Variant::OthersNeedNotAsk, Configuration::Silent, 2_718),
    (Variant::CountsEarlierStandIns, Configuration::Silent, 4_721),
    (Variant::NoFence, Configuration::StandIns, 4),
    (Variant::WideFence, Configuration::StandIns, 4_998),
    (Variant::DeliveryRestamps, Configuration::StandIns, 151),
    (Variant::NamesAgeAfterTwo, Configuration::StandIns, 69),
    (Variant::CopyTakesHighest, Configuration::Restored, 45_529),
    (Variant::FarBehindMerges, Configuration::Restored, 52_455),
    (Variant::OwnSince, Configuration::Silent, 5),
    (Variant::SinceIsNotLowered, Configuration::Large, 277),
    (Variant::OnlyExchangesSaySince, Configuration::Silent, 5),
    (Variant::CounterFromRecord, Configuration::Silent, 217),
    (Variant::KeepsIncarnation, Configuration::Restored, 8),
    (Variant::RecoveringVotes, Configuration::StandIns, 56),
    (Variant::SeenMeansDeleted, Configuration::Silent, 51),
];

#[test]
fn the_rule_holds_on_random_walks() {
    for configuration in Configuration::ALL {
        let found = search(&configuration.model(None), 0..4_000, LENGTH);
        assert!(found.failure.is_none(), "{configuration:?}: {:?}", found.failure);
    }
    assert!(!stories::break_the_rule(), "a story breaks the rule");
}

#[test]
fn the_small_models_hold_in_every_state() {
    for model in small(None) {
        let found = every_state(model);
        assert!(found.is_done, "{} states of {model:?} and not all", found.states);
        assert_eq!(found.failures, Vec::<String>::new(), "{model:?}");
        assert!(found.states > 100_000, "only {} states of {model:?}", found.states);
    }
}

#[test]
fn every_broken_rule_is_found() {
    for variant in Variant::value_variants().iter().copied().filter(|variant| !variant.is_harmless()) {
        let walk = FOUND.iter().find(|(walked, _, _)| *walked == variant);
        let is_found = match walk {
            Some((_, configuration, seed)) => {
                search(&configuration.model(Some(variant)), *seed..seed + 1, LENGTH).failure.is_some()
            }
            None => stories::of(variant).is_some(),
        };
        assert!(is_found, "{variant:?} is not found");
    }
}

#[test]
fn every_broken_rule_is_explained() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/epochs.md"));
    let text = text.expect("docs/epochs.md");
    for variant in Variant::value_variants() {
        assert!(text.contains(&format!("| {variant:?} |")), "docs/epochs.md has no row for {variant:?}");
    }
}
