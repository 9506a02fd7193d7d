use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put, PutResult};
use kv_core::error::ErrorKind;
use kv_core::ids::{Incarnation, NodeId};
use kv_core::key::StorageKey;
use kv_core::limits::Limits;
use kv_core::replica::Meta;
use kv_core::storage::Storage;
use kv_core::wire::RequestBody;

use crate::cluster::{Cluster, Link, key};
use crate::puts::{blind, indeterminate};
use crate::store::Fault;

const ENOUGH: u64 = 1 << 40;

fn set_free(cluster: &Cluster, node: NodeId, bytes: u64) {
    cluster.nodes[&node].store.set_free(bytes);
}

fn refusal(result: PutResult) -> kv_core::error::Error {
    match result {
        PutResult::NotApplied(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_node_that_is_low_on_space_refuses_writes_answers_gets_and_goes_on_by_itself() {
    let mut cluster = Cluster::new(1);
    let limits = Limits::default();
    let key = key("k");
    cluster.put(NodeId(1), Put::new("default", key.clone(), "a"));
    set_free(&cluster, NodeId(1), limits.free_bytes_min - 1);
    for put in [blind(&key, "b"), Put::new("default", key.clone(), "b")] {
        let error = refusal(cluster.try_put(NodeId(1), put));
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
        assert!(error.is_retryable());
        let [free, wanted] = [limits.free_bytes_min - 1, 2 * limits.free_bytes_min].map(|n| n.to_string());
        assert!(error.message().contains(&free) && error.message().contains(&wanted), "{error}");
    }
    assert_eq!(cluster.values(NodeId(1), &key), ["a"], "it still reads");
    set_free(&cluster, NodeId(1), 2 * limits.free_bytes_min - 1);
    assert_eq!(refusal(cluster.try_put(NodeId(1), blind(&key, "b"))).kind(), ErrorKind::ReadOnly);
    set_free(&cluster, NodeId(1), 2 * limits.free_bytes_min);
    cluster.put(NodeId(1), blind(&key, "b"));
    assert_eq!(cluster.values(NodeId(1), &key), ["a", "b"]);
}

#[test]
fn an_owner_that_is_low_on_space_hands_its_puts_to_another() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "a").with_w(Quorum::All));
    set_free(&cluster, NodeId(1), 0);
    for (put, values) in
        [(Put::new("default", key.clone(), "b"), vec!["b"]), (blind(&key, "c"), vec!["b", "c"])]
    {
        let applied = cluster.put(NodeId(1), put);
        let mut nodes: Vec<NodeId> = applied.acks.iter().map(|ack| ack.node).collect();
        nodes.sort();
        assert_eq!(nodes, [NodeId(2), NodeId(3)]);
        assert_eq!(cluster.values(NodeId(1), &key), values);
    }
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 1, "what it had before");
    let error = refusal(cluster.try_put(NodeId(1), blind(&key, "d").with_w(Quorum::All)));
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    // When there is space it gets what it missed.
    set_free(&cluster, NodeId(1), ENOUGH);
    cluster.get(NodeId(2), Get::new("default", key.clone()).with_r(Quorum::All));
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(2), &key));
}

#[test]
fn a_put_counts_the_owners_that_have_space() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    set_free(&cluster, NodeId(3), 0);
    assert_eq!(cluster.put(NodeId(1), blind(&key, "a")).acks.len(), 2);
    let error = indeterminate(cluster.try_put(NodeId(1), blind(&key, "b").with_w(Quorum::All)));
    let causes = &error.quorum().unwrap().causes;
    assert!(
        causes.iter().any(|cause| (cause.node, cause.kind) == (NodeId(3), ErrorKind::ReadOnly)),
        "{causes:?}"
    );
    assert!(error.to_string().contains("free space there"), "{error}");
}

#[test]
fn where_no_owner_has_space_the_put_is_refused_with_the_reason() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    (1..=3).for_each(|node| set_free(&cluster, NodeId(node), 5));
    let error = refusal(cluster.try_put(NodeId(1), blind(&key, "a")));
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    assert!(error.message().contains("5 bytes free"), "{error}");
    assert_eq!(error.quorum().unwrap().causes.len(), 3);
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
fn a_node_that_is_low_on_space_keeps_no_copies_and_lets_go_of_those_that_were_delivered() {
    let mut cluster = Cluster::sloppy(5, Limits::default());
    let key = key("k");
    let owners = cluster.owners(&key);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "a"));
    let keeps = |cluster: &Cluster, node: NodeId| {
        let copies = kv_core::replica::read_copies(&*cluster.nodes[&node].store, None).unwrap();
        copies.owner == Some(owners[2])
    };
    let others = cluster.others(&key);
    let keeper = *others.iter().find(|node| keeps(&cluster, **node)).unwrap();
    others.iter().for_each(|node| set_free(&cluster, *node, 0));
    let before = cluster.record_puts();
    let applied = cluster.put(owners[0], blind(&key, "b"));
    assert!(applied.acks.iter().all(|ack| ack.stands_for.is_none()), "{applied:?}");
    assert_eq!(cluster.record_puts(), before + 2, "the two owners that can be reached");
    cluster.isolate(owners[2], Link::Up);
    (0..4).for_each(|_| cluster.advance(1_000));
    assert!(!keeps(&cluster, keeper), "the end of a copy is stored");
}

#[test]
fn what_the_node_itself_has_to_store_goes_on() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.nodes[&NodeId(1)].store.fail_next(Fault::NotWritten);
    cluster.put(NodeId(1), blind(&key, "a"));
    set_free(&cluster, NodeId(1), 0);
    let stored = |cluster: &Cluster| {
        let mut bytes = Vec::new();
        let name = StorageKey::meta(Meta::INCARNATION);
        assert!(cluster.nodes[&NodeId(1)].store.get(name.as_bytes(), &mut bytes).unwrap());
        Incarnation(u64::from_le_bytes(bytes.try_into().unwrap()))
    };
    let before = stored(&cluster);
    cluster.put(NodeId(1), blind(&key, "b"));
    assert_ne!(stored(&cluster), before, "a new life");
    let forwarded = cluster.sent.iter().filter(|(_, _, body)| matches!(body, RequestBody::Forward(_)));
    assert!(forwarded.count() > 0);
}
