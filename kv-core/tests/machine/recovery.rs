use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Get, Put};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, Epoch, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::tree::{LeafId, TreeId};
use kv_core::wire::Standing;

use crate::cluster::{Cluster, Link, texts};
use crate::exchanges::exchange;
use crate::puts::{blind, not_applied};

fn tree_in(cluster: &Cluster, bucket: BucketId, key: &Key) -> TreeId {
    let view = &cluster.nodes[&NodeId(1)].view;
    LeafId::of(bucket, view.token(key), view.layout.partitioning()).tree
}

#[test]
fn a_replica_that_lost_its_store_and_a_damaged_record_do_not_wait_for_each_other() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.lose(NodeId(1));
    cluster.damage(NodeId(2), &key);
    let tree = tree_in(&cluster, BucketId::DEFAULT, &key);
    assert!(cluster.epochs(NodeId(1)).is_recovering(tree));
    exchange(&mut cluster, NodeId(1));
    assert!(!cluster.epochs(NodeId(1)).is_recovering(tree), "it has met both");
    let get = || Get::new("default", key.clone()).with_r(Quorum::All);
    assert!(cluster.try_get(NodeId(3), get()).is_err(), "the damage is seen");
    cluster.settle();
    assert_eq!(texts(&cluster.get(NodeId(3), get()).values), ["v"], "and healed from both");
}

#[test]
fn what_comes_to_a_bucket_after_a_store_was_replaced_is_not_missing() {
    let single = BucketProperties { n: 1, w_min: 1, ..BucketProperties::default() };
    let mut cluster = Cluster::with(3, Limits::default(), &[("single", single)]);
    let key = cluster.key_of(NodeId(1));
    cluster.lose(NodeId(1));
    let epochs = cluster.epochs(NodeId(1));
    assert!(epochs.is_recovering(tree_in(&cluster, BucketId::DEFAULT, &key)));
    assert!(!epochs.is_recovering(tree_in(&cluster, BucketId(100), &key)), "nobody else ever had any of it");
    assert!(!epochs.is_recovering(tree_in(&cluster, BucketId(999), &key)), "there was no such bucket");
}

#[test]
fn where_a_key_has_one_owner_what_is_deleted_goes() {
    let mut cluster = Cluster::new(1);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.put(NodeId(1), Put::delete("default", key.clone()));
    assert!(cluster.held(NodeId(1), &key).unwrap().is_some());
    for _ in 0..24 {
        exchange(&mut cluster, NodeId(1));
        cluster.advance(20);
    }
    assert_eq!(cluster.held(NodeId(1), &key), Ok(None));
}

#[test]
fn a_store_that_is_behind_says_nothing_and_makes_nothing_before_it_is_emptied() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    let tree = tree_in(&cluster, BucketId::DEFAULT, &key);
    for node in [2, 3].map(NodeId) {
        cluster.set_epoch(node, tree, Epoch(9));
    }
    let theirs = Standing { epoch: Epoch(9), is_complete: true, ..Standing::default() };
    cluster.epochs(NodeId(1)).heard(tree, theirs);
    assert!(cluster.epochs(NodeId(1)).is_recovering(tree));
    assert_eq!(not_applied(cluster.try_put(NodeId(1), blind(&key, "w"))), ErrorKind::StaleEpoch);
    cluster.turn(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "w"));
}

#[test]
fn a_value_that_only_a_store_has_which_is_behind_is_not_put_together_with_absence() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    for node in [2, 3].map(NodeId) {
        cluster.link(NodeId(1), node, Link::Refused);
    }
    cluster.put(NodeId(1), blind(&key, "deleted since").with_w(Quorum::One));
    let tree = tree_in(&cluster, BucketId::DEFAULT, &key);
    for node in [2, 3].map(NodeId) {
        cluster.set_epoch(node, tree, Epoch(9));
    }
    let all = Get::new("default", key.clone()).with_r(Quorum::All);
    assert_eq!(cluster.try_get(NodeId(2), all).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(cluster.values(NodeId(2), &key).is_empty());
}
