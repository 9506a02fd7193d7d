//! LMDB storage under the conformance suite.

mod factory;

use std::sync::Arc;

use factory::LmdbFactory;
use kv_core::testing::storage::conformance;

#[test]
fn lmdb_keeps_the_contract_of_storage() {
    let report = conformance(Arc::new(LmdbFactory));
    report.assert();
    assert_eq!(report.not_applicable(), Vec::<&str>::new(), "every bullet applies to LMDB");
}
