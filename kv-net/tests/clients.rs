//! Clients of clusters that are silent, wiped, or asked for too much.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::bucket::BucketProperties;
use kv_core::command::{Content, Expires, Get, Put, PutMany, PutResult, Replace, Scan, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::limits::Limits;
use kv_core::storage::MemoryStorage;
use kv_core::transport::CallError;
use kv_core::wire::{BucketChange, RequestBody, decode_request};
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

/// Carries every request, and loses so many answers to puts.
#[derive(Debug)]
struct Forgetful {
    inner: Arc<dyn ClientTransport>,
    losses: AtomicUsize,
}

#[async_trait]
impl ClientTransport for Forgetful {
    async fn call(&self, address: &str, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let is_put = matches!(decode_request(&frame).unwrap().body, RequestBody::Put(_));
        let answer = self.inner.call(address, frame, deadline).await;
        let takes = |left: usize| left.checked_sub(1);
        let loses = is_put && self.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes).is_ok();
        if loses { Err(CallError::NoAnswer(ErrorKind::ConnectionLost, "it broke".into())) } else { answer }
    }

    async fn shut_down(&self, grace: Duration) {
        self.inner.shut_down(grace).await;
    }
}

#[tokio::test]
async fn a_put_whose_end_nobody_knows_is_tried_again_if_it_has_an_id() {
    let network = LocalNetwork::new();
    let _node = node(&network, Limits::default()).await;
    let transport = Arc::new(Forgetful { inner: network.client(), losses: AtomicUsize::new(1) });
    let client = Client::builder().seed("1").transport(transport.clone()).build().unwrap();
    let blind =
        |value: &'static str| Put { replace: Replace::Nothing, ..Put::new("default", key("k"), value) };
    // Without an id nothing is tried again.
    assert!(matches!(client.put(blind("a")).await, PutResult::Indeterminate(_)));
    assert_eq!(client.get(Get::new("default", key("k"))).await.unwrap().values.len(), 1);
    // With one it is, and is not made twice.
    transport.losses.store(2, Ordering::SeqCst);
    let id = Client::fresh_id();
    let applied = client.put(blind("b").with_id(id)).await.into_result().unwrap();
    let found = client.get(Get::new("default", key("k"))).await.unwrap();
    let values: Vec<_> = found.values.iter().filter(|sibling| sibling.value == "b").collect();
    assert_eq!((values.len(), Some(values[0].dot)), (1, applied.dot));
    assert_ne!(id, Client::fresh_id());
    // What is not made, after a try that may have been, may have been made.
    transport.losses.store(usize::MAX, Ordering::SeqCst);
    let mut hopeless = blind("c").with_id(Client::fresh_id());
    hopeless.options.timeout_ms = Some(300);
    assert!(matches!(client.put(hopeless).await, PutResult::Indeterminate(_)));
    transport.losses.store(1, Ordering::SeqCst);
    let bad = Put::expire("default", key("k"), Expires::Never).with_id(Client::fresh_id());
    let PutResult::Indeterminate(error) = client.put(bad).await else { panic!("it was told") };
    assert_eq!(error.kind(), ErrorKind::InvalidPut);
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
    let puts = (0..300).map(|number| (key(&format!("k{number}")), Content::value("v"), Replace::Nothing));
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
