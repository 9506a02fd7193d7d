use std::sync::atomic::{AtomicU64, Ordering};

use super::check;
use crate::ids::Token;
use crate::partitioner::{OrderedPartitioner, Partitioner, Xxh3Partitioner};
use crate::testing::report::{CaseOutcome, Report};

#[test]
fn built_in_partitioners_pass() {
    let xxh3 = check(&|| Box::new(Xxh3Partitioner));
    xxh3.assert_passed();
    assert!(matches!(xxh3.cases.last().unwrap().outcome, CaseOutcome::NotApplicable(_)));
    for splits in [&[][..], &["m"], &["user/1", "user/2", "user/3"], &["a", "aa", "ab", "b", "user/11"]] {
        let ordered = check(&|| Box::new(OrderedPartitioner::new(splits).unwrap()));
        ordered.assert_passed();
        assert_eq!(ordered.cases.last().unwrap().outcome, CaseOutcome::Passed);
    }
}

/// A partitioner made of a closure, and of what it claims to be.
struct Mutant<F> {
    token: F,
    ordered: bool,
}

impl<F> std::fmt::Debug for Mutant<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutant")
    }
}

impl<F: Fn(&[u8]) -> u64 + Send + Sync + 'static> Partitioner for Mutant<F> {
    fn name(&self) -> String {
        "mutant".into()
    }

    fn token(&self, key: &[u8]) -> Token {
        Token((self.token)(key))
    }

    fn is_uniform(&self) -> bool {
        !self.ordered
    }

    fn is_ordered(&self) -> bool {
        self.ordered
    }
}

fn hash(key: &[u8]) -> u64 {
    Xxh3Partitioner.token(key).0
}

fn check_hash(token: impl Fn(&[u8]) -> u64 + Send + Sync + Copy + 'static) -> Report {
    check(&move || Box::new(Mutant { token, ordered: false }))
}

fn check_ordered(token: impl Fn(&[u8]) -> u64 + Send + Sync + Copy + 'static) -> Report {
    check(&move || Box::new(Mutant { token, ordered: true }))
}

#[test]
fn a_seed_per_process_breaks_p_01() {
    let process = AtomicU64::new(1);
    let report = check(&|| {
        let seed = process.fetch_add(1, Ordering::Relaxed);
        Box::new(Mutant { token: move |key: &[u8]| hash(key) ^ seed, ordered: false })
    });
    assert_eq!(report.failed_ids(), ["P-01"], "{report}");
}

#[test]
fn a_token_that_depends_on_earlier_calls_breaks_p_01() {
    let report = check(&|| {
        let calls = AtomicU64::new(0);
        let token = move |key: &[u8]| hash(key).wrapping_add(calls.fetch_add(1, Ordering::Relaxed));
        Box::new(Mutant { token, ordered: false })
    });
    assert!(report.failed_ids().contains(&"P-01"), "{report}");
}

#[test]
fn ignoring_the_last_byte_breaks_p_02() {
    let report = check_hash(|key| hash(&key[..key.len() - 1]));
    assert!(report.failed_ids().contains(&"P-02"), "{report}");
}

#[test]
fn ignoring_what_is_behind_the_first_256_bytes_breaks_p_02() {
    let report = check_hash(|key| hash(&key[..key.len().min(256)]));
    assert_eq!(report.failed_ids(), ["P-02"], "{report}");
}

#[test]
fn a_panic_on_a_long_key_breaks_p_03() {
    let report = check_hash(|key| {
        assert!(key.len() != 777, "no token");
        hash(key)
    });
    assert_eq!(report.failed_ids(), ["P-03"], "{report}");
}

#[test]
fn leaving_half_of_the_hash_space_empty_breaks_p_04() {
    let report = check_hash(|key| hash(key) >> 1);
    assert_eq!(report.failed_ids(), ["P-04"], "{report}");
}

#[test]
fn a_polynomial_hash_breaks_p_04() {
    let report = check_hash(|key| key.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)));
    assert!(report.failed_ids().contains(&"P-04"), "{report}");
}

#[test]
fn claiming_an_order_that_is_none_breaks_p_05() {
    assert_eq!(check_ordered(hash).failed_ids(), ["P-05"]);
    // Signed bytes, and shorter keys before longer ones: two classics.
    let signed = |key: &[u8]| u64::from(key[0] ^ 0x80) << 56;
    assert_eq!(check_ordered(signed).failed_ids(), ["P-05"]);
    let by_length = |key: &[u8]| ((key.len() as u64) << 48) | u64::from(key[0]);
    assert_eq!(check_ordered(by_length).failed_ids(), ["P-05"]);
}
