//! The transport inside one process.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::mutants::{Broken, FAULTS, Fault};
use common::{FRAME_BYTES_MAX, Local};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::testing::transport::{BULLETS, check, check_bullets};
use kv_core::transport::{CallError, Transport};
use kv_net::transport::{ClientTransport, LocalNetwork};

#[tokio::test]
async fn it_keeps_the_contract() {
    check(Local::new).await.assert_passed();
}

#[tokio::test]
async fn each_mutant_fails_the_case_of_its_bullet() {
    // Nothing is between the handler and the caller here that a short grace could cut.
    let faults = FAULTS.iter().filter(|(fault, _)| *fault != Fault::CutsOffAnswersInShutDown);
    let broken = faults.map(|(fault, bullet)| async move {
        let report = check_bullets(&[bullet], || Broken {
            network: Local::new(),
            fault: *fault,
            failed: Default::default(),
        })
        .await;
        assert_eq!(report.failed_ids(), [*bullet], "{fault:?} passes: {report}");
    });
    futures::future::join_all(broken).await;
    for (bullet, _) in BULLETS {
        assert!(FAULTS.iter().any(|(_, broken)| broken == bullet), "no mutant for {bullet}");
    }
}

#[tokio::test]
async fn a_client_is_known_as_one_and_names_nodes_by_their_ids() {
    let network = LocalNetwork::with_frame_bytes_max(FRAME_BYTES_MAX);
    let transport = network.join(NodeId(7));
    transport.start(common::who_handler()).await.unwrap();
    let client = network.client();
    let second = Duration::from_secs(1);
    assert_eq!(client.call("7", Bytes::new(), second).await.unwrap(), "Client");
    for (address, kind) in [("8", ErrorKind::ConnectionFailed), ("x", ErrorKind::ConnectionFailed)] {
        let error = client.call(address, Bytes::new(), second).await.unwrap_err();
        assert!(matches!(&error, CallError::NotSent(got, _) if *got == kind), "{address}: {error}");
    }
    client.shut_down(second).await;
    let error = client.call("7", Bytes::new(), second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShuttingDown);
}

#[tokio::test]
async fn an_id_that_is_taken_is_refused_until_its_node_has_left() {
    let network = LocalNetwork::new();
    let (one, twin) = (network.join(NodeId(1)), network.join(NodeId(1)));
    one.start(common::who_handler()).await.unwrap();
    assert_eq!(twin.start(common::who_handler()).await.unwrap_err().kind(), ErrorKind::DuplicateNode);
    one.shut_down(Duration::ZERO).await;
    twin.start(common::who_handler()).await.unwrap();
}
