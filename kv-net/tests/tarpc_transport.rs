//! The reference transport, over real sockets.

mod common;

use common::mutants::{Broken, FAULTS};
use common::tcp::Tcp;
use kv_core::testing::transport::{check, check_bullets};
use kv_net::transport::TarpcOptions;

#[tokio::test]
async fn it_keeps_the_contract() {
    check(Tcp::new).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_on_several_threads() {
    check(Tcp::new).await.assert_passed();
}

#[tokio::test]
async fn it_keeps_the_contract_over_one_connection() {
    check(|| Tcp::with(TarpcOptions { connections_per_peer: 1, ..TarpcOptions::default() }))
        .await
        .assert_passed();
}

#[tokio::test]
async fn each_mutant_fails_the_case_of_its_bullet() {
    let broken = FAULTS.iter().map(|(fault, bullet)| async move {
        let report = check_bullets(&[bullet], || Broken {
            network: Tcp::new(),
            fault: *fault,
            failed: Default::default(),
        })
        .await;
        assert_eq!(report.failed_ids(), [*bullet], "{fault:?} passes: {report}");
    });
    futures::future::join_all(broken).await;
}
