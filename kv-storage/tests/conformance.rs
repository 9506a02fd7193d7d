//! Storages under the conformance suite.

mod factory;

use std::sync::Arc;

use factory::{LmdbFactory, LoggedFactory};
use kv_core::testing::storage::conformance;
use kv_storage::LogOptions;

#[test]
fn lmdb_keeps_the_contract_of_storage() {
    let report = conformance(Arc::new(LmdbFactory));
    report.assert();
    assert_eq!(report.not_applicable(), Vec::<&str>::new(), "every bullet applies to LMDB");
}

#[test]
fn lmdb_behind_a_log_keeps_it_too() {
    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    assert_logged(options);
}

/// Every few batches a table is full.
#[test]
fn lmdb_behind_a_log_that_is_given_away_all_the_time_keeps_it_too() {
    let options = LogOptions { segment_bytes: 16 << 10, transaction_bytes: 4 << 10, in_background: false };
    assert_logged(options);
}

fn assert_logged(options: LogOptions) {
    let report = conformance(Arc::new(LoggedFactory(options)));
    report.assert();
    assert_eq!(report.not_applicable(), Vec::<&str>::new(), "every bullet applies");
}
