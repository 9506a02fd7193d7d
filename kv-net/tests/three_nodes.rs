//! Nodes over real transports, with real clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Content, Get, GetMany, Put, PutMany, PutResult, Replace, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::MemoryStorage;
use kv_core::wire::BucketChange;
use kv_net::transport::{AddressBook, ClientTransport, Identity, LocalNetwork, TarpcOptions, TarpcTransport};
use kv_net::{Client, Node, NodeConfig};

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

/// A cluster in this process.
struct Cluster {
    nodes: Vec<Node>,
    client: Client,
}

async fn local(count: u64) -> Cluster {
    let network = LocalNetwork::new();
    let members: Vec<Member> = (1..=count).map(|id| Member::new(NodeId(id), id.to_string())).collect();
    let mut nodes = Vec::new();
    for member in &members {
        let config =
            NodeConfig { members: members.clone(), ..NodeConfig::new(member.id, MemoryStorage::new()) };
        let identity = Arc::new(Identity::node(member.id, None));
        let transport = network.join(member.id);
        nodes.push(Node::start(config, transport, identity, Arc::new(AddressBook::new())).await.unwrap());
    }
    nodes[0].init().await.unwrap();
    let client = Client::builder().seed("1").transport(network.client() as Arc<dyn ClientTransport>);
    Cluster { nodes, client: client.build().unwrap() }
}

async fn tcp(count: u64) -> Cluster {
    let mut parts = Vec::new();
    let mut members = Vec::new();
    for id in (1..=count).map(NodeId) {
        let identity = Arc::new(Identity::node(id, None));
        let addresses = Arc::new(AddressBook::new());
        let transport =
            TarpcTransport::bind("127.0.0.1:0", identity.clone(), addresses.clone(), TarpcOptions::default())
                .unwrap();
        members.push(Member::new(id, transport.local_address().to_string()));
        parts.push((id, identity, addresses, transport));
    }
    let mut nodes = Vec::new();
    for (id, identity, addresses, transport) in parts {
        let config = NodeConfig { members: members.clone(), ..NodeConfig::new(id, MemoryStorage::new()) };
        nodes.push(Node::start(config, Arc::new(transport), identity, addresses).await.unwrap());
    }
    nodes[0].init().await.unwrap();
    let seeds = members.iter().map(|member| member.address.clone());
    Cluster { nodes, client: Client::builder().seeds(seeds).build().unwrap() }
}

async fn puts_and_gets(cluster: &Cluster) {
    let client = &cluster.client;
    let missing = client.get(Get::new("default", key("nothing"))).await.unwrap();
    assert!(missing.values.is_empty());
    let put = client.put(Put::new("default", key("k"), "one")).await.into_result().unwrap();
    assert!(put.acks.len() >= 2, "{put:?}");
    let got = client.get(Get::new("default", key("k"))).await.unwrap();
    assert_eq!(got.values[0].value, "one");
    for node in &cluster.nodes {
        let got = node.get(Get::new("default", key("k")).with_r(Quorum::All)).await.unwrap();
        assert_eq!(got.values.len(), 1);
        assert_eq!(got.values[0].value, "one");
    }
    let again = Put::new("default", key("k"), "two").with_context(got.context);
    client.put(again).await.into_result().unwrap();
    let deleted = client.put(Put::delete("default", key("k"))).await.into_result().unwrap();
    assert!(deleted.dot.is_some());
    let got = client.get(Get::new("default", key("k"))).await.unwrap();
    assert!(got.values.is_empty());
    cluster.client.shut_down().await;
    for node in &cluster.nodes {
        node.shut_down(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn a_cluster_in_one_process_puts_gets_and_deletes() {
    puts_and_gets(&local(3).await).await;
}

#[tokio::test]
async fn a_cluster_over_tcp_puts_gets_and_deletes() {
    puts_and_gets(&tcp(3).await).await;
}

#[tokio::test]
async fn one_node_alone_works() {
    puts_and_gets_single(&local(1).await).await;
}

async fn puts_and_gets_single(cluster: &Cluster) {
    cluster.client.put(Put::new("default", key("k"), "one")).await.into_result().unwrap();
    assert_eq!(cluster.client.get(Get::new("default", key("k"))).await.unwrap().values[0].value, "one");
}

#[tokio::test]
async fn a_node_that_owns_nothing_of_a_key_hands_the_put_to_an_owner() {
    let cluster = local(5).await;
    for index in 0..40 {
        let key = key(&format!("key {index}"));
        let node = &cluster.nodes[index % 5];
        node.put(Put::new("default", key.clone(), "v")).await.into_result().unwrap();
        for other in &cluster.nodes {
            let got = other.get(Get::new("default", key.clone())).await.unwrap();
            assert_eq!(got.values.len(), 1, "{index}");
        }
    }
    let forwarded: u64 = cluster
        .nodes
        .iter()
        .flat_map(|node| node.status().counters)
        .filter(|(name, _)| name == "forwarded")
        .map(|(_, count)| count)
        .sum();
    assert!(forwarded > 0);
}

#[tokio::test]
async fn blind_puts_are_siblings_and_a_context_replaces_them() {
    let cluster = local(3).await;
    let blind =
        |value: &'static str| Put { replace: Replace::Nothing, ..Put::new("default", key("k"), value) };
    for value in ["a", "b"] {
        cluster.client.put(blind(value)).await.into_result().unwrap();
    }
    let got = cluster.client.get(Get::new("default", key("k"))).await.unwrap();
    assert_eq!(got.values.len(), 2);
    let put = Put::new("default", key("k"), "c").with_context(got.context);
    cluster.client.put(put).await.into_result().unwrap();
    let got = cluster.client.get(Get::new("default", key("k"))).await.unwrap();
    assert_eq!(got.values.len(), 1);
    let other = Put::new("default", key("another"), "c").with_context(got.context);
    let error = cluster.client.put(other).await.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidContext);
}

#[tokio::test]
async fn many_keys_end_each_for_itself() {
    let cluster = local(5).await;
    let keys: Vec<Key> = (0..100).map(|index| key(&format!("k{index}"))).collect();
    let large = bytes::Bytes::from(vec![0; (1 << 20) + 1]);
    let puts = keys.iter().enumerate().map(|(index, key)| {
        let value = if index == 7 { large.clone() } else { index.to_string().into() };
        (key.clone(), Content::value(value), Replace::Overwrite)
    });
    let put = PutMany { bucket: "default".into(), puts: puts.collect(), options: WriteOptions::default() };
    let results = cluster.client.put_many(put).await.unwrap();
    for (index, result) in results.iter().enumerate() {
        match result {
            PutResult::Applied(_) => assert_ne!(index, 7),
            PutResult::NotApplied(error) => {
                assert_eq!((index, error.kind()), (7, ErrorKind::ValueTooLarge));
            }
            PutResult::Indeterminate(error) => panic!("{index}: {error}"),
        }
    }
    let get = GetMany { bucket: "default".into(), keys, options: Default::default() };
    let results = cluster.client.get_many(get).await.unwrap();
    for (index, result) in results.into_iter().enumerate() {
        let values = result.unwrap().values;
        assert_eq!(values.len(), usize::from(index != 7));
    }
}

#[tokio::test]
async fn buckets_are_known_everywhere() {
    let cluster = local(3).await;
    let properties = BucketProperties { n: 2, ..BucketProperties::default() };
    let create = BucketChange::Create("photos".into(), properties);
    cluster.client.change_bucket(create.clone()).await.unwrap();
    let error = cluster.client.change_bucket(create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidBucket);
    for node in &cluster.nodes {
        node.put(Put::new("photos", key("k"), "v")).await.into_result().unwrap();
    }
    cluster.client.change_bucket(BucketChange::Delete("photos".into())).await.unwrap();
    let error = cluster.client.put(Put::new("photos", key("k"), "v")).await.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownBucket);
}

#[tokio::test]
async fn a_quorum_goes_on_without_one_node_and_not_without_two() {
    let cluster = local(3).await;
    cluster.nodes[2].shut_down(Duration::from_secs(1)).await;
    for index in 0..10 {
        let key = key(&format!("k{index}"));
        cluster.client.put(Put::new("default", key.clone(), "v")).await.into_result().unwrap();
        assert_eq!(cluster.client.get(Get::new("default", key)).await.unwrap().values.len(), 1);
    }
    cluster.nodes[1].shut_down(Duration::from_secs(1)).await;
    let mut put = Put::new("default", key("k"), "v");
    put.options.timeout_ms = Some(300);
    let error = cluster.client.put(put).await.into_result().unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let one = Get::new("default", key("k1")).with_r(Quorum::One);
    assert_eq!(cluster.client.get(one).await.unwrap().values.len(), 1);
}

#[tokio::test]
async fn tries_end_with_the_deadline_and_say_why() {
    let cluster = local(3).await;
    cluster.client.put(Put::new("default", key("k"), "v")).await.into_result().unwrap();
    for node in &cluster.nodes[1..] {
        node.shut_down(Duration::from_secs(1)).await;
    }
    let begun = Instant::now();
    let mut put = Put::new("default", key("k"), "w");
    put.options.timeout_ms = Some(300);
    let result = cluster.client.put(put).await;
    let PutResult::NotApplied(error) = result else { panic!("an overwrite reads first: {result:?}") };
    assert!(error.is_retryable() && !error.message().is_empty(), "{error}");
    let mut get = Get::new("default", key("k"));
    get.options.timeout_ms = Some(300);
    let error = cluster.client.get(get).await.unwrap_err();
    assert!(error.is_retryable() && !error.message().is_empty(), "{error}");
    assert!((600..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
