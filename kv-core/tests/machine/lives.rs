use kv_core::bucket::Quorum;
use kv_core::command::Put;
use kv_core::error::ErrorKind;
use kv_core::ids::{Incarnation, NodeId};
use kv_core::key::StorageKey;
use kv_core::replica::Meta;
use kv_core::storage::Storage;

use crate::cluster::{Cluster, Link};
use crate::puts::{blind, indeterminate};
use crate::store::Fault;

fn stored_incarnation(cluster: &Cluster, node: NodeId) -> Incarnation {
    let mut bytes = Vec::new();
    let store = &cluster.nodes[&node].store;
    assert!(store.get(StorageKey::meta(Meta::INCARNATION).as_bytes(), &mut bytes).unwrap());
    Incarnation(u64::from_le_bytes(bytes.try_into().unwrap()))
}

#[test]
pub(crate) fn a_node_goes_on_with_its_actor_from_put_to_put() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let dots = ["a", "b", "c"].map(|value| cluster.put(NodeId(1), blind(&key, value)).dot.unwrap());
    assert_eq!(dots.map(|dot| dot.counter), [1, 2, 3]);
    assert!(dots.iter().all(|dot| dot.actor == dots[0].actor));
    let other = cluster.put(NodeId(2), blind(&key, "d")).dot.unwrap();
    assert_ne!(other.actor, dots[0].actor);
}

#[test]
pub(crate) fn a_failed_commit_begins_a_new_life_before_the_next_dot() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let first = cluster.put(NodeId(1), blind(&key, "a")).dot.unwrap();
    cluster.nodes[&NodeId(1)].store.fail_next(Fault::NotWritten);
    // The others have committed it, so it is applied, and its dot is used up.
    let second = cluster.put(NodeId(1), blind(&key, "b"));
    let nodes: Vec<NodeId> = second.acks.iter().map(|ack| ack.node).collect();
    assert!(nodes.len() == 2 && !nodes.contains(&NodeId(1)), "{nodes:?}");
    let third = cluster.put(NodeId(1), blind(&key, "c"));
    let dot = third.dot.unwrap();
    assert_ne!(dot.actor.incarnation, first.actor.incarnation);
    assert_eq!(stored_incarnation(&cluster, NodeId(1)), dot.actor.incarnation, "stored before it was used");
    let own = third.acks.iter().find(|ack| ack.node == NodeId(1));
    assert!(own.is_none_or(|ack| ack.incarnation == dot.actor.incarnation));
    assert_ne!(Some(dot), second.dot);
    assert_eq!(cluster.values(NodeId(2), &key), ["a", "b", "c"]);
    assert_eq!(cluster.values(NodeId(1), &key), ["a", "b", "c"]);
}

#[test]
pub(crate) fn a_put_whose_own_commit_failed_is_indeterminate_where_that_was_needed() {
    for (fault, kind) in
        [(Fault::NotWritten, ErrorKind::NotWritten), (Fault::UnknownButWritten, ErrorKind::CommitUnknown)]
    {
        let mut cluster = Cluster::new(3);
        let key = cluster.key_of(NodeId(1));
        cluster.nodes[&NodeId(1)].store.fail_next(fault);
        let error = indeterminate(cluster.try_put(NodeId(1), blind(&key, "v").with_w(Quorum::All)));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let causes = &error.quorum().unwrap().causes;
        assert!(causes.iter().any(|cause| (cause.node, cause.kind) == (NodeId(1), kind)), "{causes:?}");
    }
}

#[test]
pub(crate) fn nothing_is_acknowledged_before_it_is_committed() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.nodes[&NodeId(1)].store.fail_next(Fault::NotWritten);
    let error = indeterminate(cluster.try_put(NodeId(1), blind(&key, "v").with_w(Quorum::One)));
    assert_eq!(error.quorum().unwrap().got, 0);
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn a_peer_whose_commit_failed_has_not_acknowledged() {
    for fault in [Fault::NotWritten, Fault::UnknownButWritten] {
        let mut cluster = Cluster::new(3);
        let key = cluster.key_of(NodeId(1));
        cluster.nodes[&NodeId(2)].store.fail_next(fault);
        let error = indeterminate(cluster.try_put(NodeId(1), blind(&key, "v").with_w(Quorum::All)));
        let causes = &error.quorum().unwrap().causes;
        let kind = match fault {
            Fault::NotWritten => ErrorKind::NotWritten,
            Fault::UnknownButWritten => ErrorKind::CommitUnknown,
        };
        assert!(causes.iter().any(|cause| (cause.node, cause.kind) == (NodeId(2), kind)), "{causes:?}");
    }
}

#[test]
pub(crate) fn a_node_that_cannot_store_a_new_life_makes_no_versions() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    for _ in 0..2 {
        cluster.nodes[&NodeId(1)].store.fail_next(Fault::NotWritten);
    }
    let lost = cluster.put(NodeId(1), blind(&key, "a"));
    let other = cluster.put(NodeId(1), blind(&key, "b"));
    let other = other.dot.unwrap().actor.incarnation;
    assert!(
        other == Incarnation(2 << 32) || other == Incarnation(3 << 32),
        "another owner makes it: {other}"
    );
    assert_eq!(cluster.values(NodeId(1), &key), ["a", "b"], "it still reads");
    let next = cluster.put(NodeId(1), Put::new("default", key.clone(), "c"));
    assert_ne!(next.dot.unwrap().actor.incarnation, lost.dot.unwrap().actor.incarnation);
    assert_ne!(next.dot.unwrap().actor.incarnation, other, "it makes versions again");
}
