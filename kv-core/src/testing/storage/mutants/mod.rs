//! Deliberately broken engines. Each has to fail the cases of the bullets that it breaks, and no others.

mod engine;
mod fault;

use std::sync::Arc;

use engine::MutantFactory;
use fault::Fault;

use super::{MemoryFactory, conformance};

#[test]
fn the_reference_passes() {
    let report = conformance(Arc::new(MemoryFactory));
    report.assert();
    assert_eq!(report.not_applicable(), ["S-09", "S-10"], "memory is not durable");
}

#[test]
fn the_engine_of_the_mutants_passes_every_case_without_a_fault() {
    let report = conformance(Arc::new(MutantFactory { fault: Fault::None }));
    report.assert();
    assert_eq!(report.not_applicable(), Vec::<&str>::new());
}

#[test]
fn every_mutant_fails_by_the_bullets_that_it_breaks() {
    for (fault, expected) in Fault::ALL {
        let report = conformance(Arc::new(MutantFactory { fault: *fault }));
        assert_eq!(report.failed(), *expected, "{fault:?}\n{report}");
    }
}

#[test]
fn every_bullet_has_a_mutant() {
    for case in super::cases::ALL {
        let breaks = |(_, bullets): &(Fault, &[&str])| bullets.contains(&case.id);
        assert!(Fault::ALL.iter().any(breaks), "{} has no mutant", case.id);
    }
}
