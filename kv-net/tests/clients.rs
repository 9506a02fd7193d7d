//! Clients of clusters that are silent, wiped, or asked for too much.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::bucket::BucketProperties;
use kv_core::command::{Get, Put, PutMany, PutResult, Replace, Scan, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::limits::Limits;
use kv_core::storage::MemoryStorage;
use kv_core::transport::CallError;
use kv_core::wire::BucketChange;
use kv_net::transport::{AddressBook, ClientTransport, Identity, LocalNetwork};
use kv_net::{Client, Node, NodeConfig};

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

async fn node(network: &Arc<LocalNetwork>, limits: Limits) -> Node {
    let id = NodeId(1);
    let members = vec![Member::new(id, "1")];
    let config = NodeConfig { members, limits, ..NodeConfig::new(id, MemoryStorage::new()) };
    let identity = Arc::new(Identity::node(id, None));
    let node = Node::start(config, network.join(id), identity, Arc::new(AddressBook::new())).await.unwrap();
    node.init().await.unwrap();
    node
}

fn client(network: &Arc<LocalNetwork>) -> Client {
    Client::builder().seed("1").transport(network.client() as Arc<dyn ClientTransport>).build().unwrap()
}

/// Nobody answers.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl ClientTransport for Silence {
    async fn call(&self, _: &str, _: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        tokio::time::sleep(deadline).await;
        Err(CallError::NotSent(ErrorKind::DeadlineExceeded, "nobody answers".into()))
    }

    async fn shut_down(&self, _: Duration) {}
}

#[tokio::test]
async fn first_calls_do_not_queue_behind_each_other() {
    let timeout = Duration::from_millis(300);
    let client =
        Client::builder().seed("silent").timeout(timeout).transport(Arc::new(Silence)).build().unwrap();
    let begun = Instant::now();
    let calls = (0..20).map(|_| client.get(Get::new("default", key("k"))));
    for result in futures::future::join_all(calls).await {
        let error = result.unwrap_err();
        assert_eq!(error.to_string().matches("silent").count(), 1, "{error}");
    }
    assert!(begun.elapsed() < 4 * timeout, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_error_names_the_address_once() {
    let network = LocalNetwork::new();
    let node = node(&network, Limits::default()).await;
    let client = Client::builder().seed("1").timeout(Duration::from_millis(300));
    let client = client.transport(network.client() as Arc<dyn ClientTransport>).build().unwrap();
    client.put(Put::new("default", key("k"), "v")).await.into_result().unwrap();
    node.shut_down(Duration::from_millis(100)).await;
    let error = client.get(Get::new("default", key("k"))).await.unwrap_err().to_string();
    assert_eq!(error.matches("node at 1").count(), 1, "{error}");
}

#[tokio::test]
async fn a_cluster_that_was_made_anew_at_the_same_addresses_is_not_taken_for_the_old_one() {
    let network = LocalNetwork::new();
    let first = node(&network, Limits::default()).await;
    let old = client(&network);
    let put = || Put::new("default", key("k"), "v");
    old.put(put()).await.into_result().unwrap();
    first.shut_down(Duration::from_millis(100)).await;
    let _second = node(&network, Limits::default()).await;
    let create = BucketChange::Create("photos".into(), BucketProperties::default());
    let error = old.put(put()).await.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongCluster, "{error}");
    // Whoever has heard that goes on with the new one.
    assert!(old.get(Get::new("default", key("k"))).await.unwrap().values.is_empty());
    old.change_bucket(create).await.unwrap();
}

#[tokio::test]
async fn many_puts_whose_answers_do_not_fit_a_frame_are_not_called_undone() {
    let network = LocalNetwork::new();
    let limits =
        Limits { value_bytes_max: 1, record_bytes_max: 2_100, frame_bytes_max: 8_400, ..Limits::default() };
    let _node = node(&network, limits).await;
    let client = client(&network);
    let puts =
        (0..300).map(|number| (key(&format!("k{number}")), Some(Bytes::from_static(b"v")), Replace::Nothing));
    let put = PutMany { bucket: "default".into(), puts: puts.collect(), options: WriteOptions::default() };
    let results = client.put_many(put).await.unwrap();
    assert_eq!(results.len(), 300);
    assert!(results.iter().all(|result| matches!(result, PutResult::Indeterminate(_))), "they were written");
    assert_eq!(client.get(Get::new("default", key("k299"))).await.unwrap().values.len(), 1);
}

#[tokio::test]
async fn a_scan_of_large_values_comes_in_pages_that_fit() {
    let network = LocalNetwork::new();
    let _node = node(&network, Limits::default()).await;
    let client = client(&network);
    let mut expected = std::collections::BTreeSet::new();
    for number in 0..40 {
        let name = key(&format!("key {number}"));
        let put = Put::new("default", name.clone(), vec![number; 500_000]);
        client.put(put).await.into_result().unwrap();
        expected.insert(name);
    }
    let (mut found, mut pages) = (std::collections::BTreeSet::new(), 0);
    let mut scan = Scan::new("default").with_values();
    loop {
        let page = client.scan(scan.clone()).await.unwrap();
        pages += 1;
        for entry in page.entries {
            assert_eq!(entry.values[0].value.len(), 500_000);
            assert!(found.insert(entry.key));
        }
        let Some(next) = page.next else { break };
        scan = scan.starting_at(next);
    }
    assert_eq!(found, expected);
    assert!(pages >= 10, "{pages} pages");
    let error = client.scan(Scan::new("nowhere")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownBucket);
}
