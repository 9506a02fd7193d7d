use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put, ReadRepair};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, NodeId, PartitionId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::tree::{LeafId, TreeId};
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, key};
use crate::puts::blind;

/// How many steps a round may take.
const STEPS_MAX: usize = 2_000;

/// Lets `node` compare what it holds with every other node now.
pub(crate) fn exchange(cluster: &mut Cluster, node: NodeId) {
    let AnswerBody::Repair(round) = cluster.ask(node, RequestBody::Repair) else { panic!("no round") };
    let ended = (0..STEPS_MAX).any(|_| {
        cluster.advance(1);
        cluster.repair_status(node).rounds_ended >= round
    });
    assert!(ended, "{:?}", cluster.repair_status(node));
}

fn compared(cluster: &Cluster) -> usize {
    cluster.sent.iter().filter(|(_, _, body)| matches!(body, RequestBody::Compare(_))).count()
}

fn listed(cluster: &Cluster) -> usize {
    cluster.sent.iter().filter(|(_, _, body)| matches!(body, RequestBody::ReadRange(_))).count()
}

/// What a node itself stores of a key.
fn stored(cluster: &Cluster, node: NodeId, key: &Key) -> Vec<String> {
    let record = cluster.held(node, key).unwrap().unwrap_or_default();
    let values = record.versions().iter().filter_map(|version| version.value.as_ref());
    values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

/// Puts each key while `absent` cannot be reached.
fn put_without(cluster: &mut Cluster, absent: NodeId, keys: &[Key]) {
    cluster.isolate(absent, Link::Refused);
    let other = [1, 2, 3].map(NodeId).into_iter().find(|node| *node != absent).unwrap();
    for key in keys {
        cluster.put(other, blind(key, "missed"));
    }
    cluster.isolate(absent, Link::Up);
}

#[test]
pub(crate) fn what_a_node_missed_it_gets_although_nobody_reads() {
    let mut cluster = Cluster::new(3);
    let keys: Vec<Key> = (0..200).map(|number| key(&format!("key {number}"))).collect();
    put_without(&mut cluster, NodeId(3), &keys);
    assert!(stored(&cluster, NodeId(3), &keys[0]).is_empty());
    exchange(&mut cluster, NodeId(3));
    for key in &keys {
        assert_eq!(stored(&cluster, NodeId(3), key), ["missed"]);
    }
    assert_eq!(cluster.repair_status(NodeId(3)).keys_repaired, 200);
}

#[test]
pub(crate) fn a_second_exchange_compares_roots_and_nothing_else() {
    let mut cluster = Cluster::new(3);
    let keys: Vec<Key> = (0..50).map(|number| key(&format!("key {number}"))).collect();
    put_without(&mut cluster, NodeId(2), &keys);
    exchange(&mut cluster, NodeId(1));
    assert_eq!(stored(&cluster, NodeId(2), &keys[7]), ["missed"], "it gives as well as it takes");
    let (puts, lists) = (cluster.record_puts(), listed(&cluster));
    for node in [1, 2, 3] {
        let before = compared(&cluster);
        exchange(&mut cluster, NodeId(node));
        // 64 partitions of two buckets are one request to each of the two others.
        assert_eq!(compared(&cluster) - before, 2);
    }
    assert_eq!((cluster.record_puts(), listed(&cluster)), (puts, lists));
}

#[test]
pub(crate) fn one_key_that_differs_costs_one_leaf() {
    let mut cluster = Cluster::new(3);
    for number in 0..300 {
        cluster.put(NodeId(1), blind(&key(&format!("key {number}")), "known to all"));
    }
    put_without(&mut cluster, NodeId(2), &[key("only one")]);
    let lists = listed(&cluster);
    exchange(&mut cluster, NodeId(2));
    // With each of the two others.
    assert!(listed(&cluster) - lists <= 2, "{} ranges were listed", listed(&cluster) - lists);
    assert_eq!(stored(&cluster, NodeId(2), &key("only one")), ["missed"]);
}

#[test]
pub(crate) fn after_a_restart_marked_leaves_are_counted_and_the_others_known() {
    let mut cluster = Cluster::new(3);
    let keys: Vec<Key> = (0..100).map(|number| key(&format!("key {number}"))).collect();
    put_without(&mut cluster, NodeId(3), &keys);
    cluster.restart(NodeId(2));
    cluster.restart(NodeId(3));
    exchange(&mut cluster, NodeId(2));
    exchange(&mut cluster, NodeId(3));
    for key in &keys {
        assert_eq!(stored(&cluster, NodeId(3), key), ["missed"]);
    }
    let view = &cluster.nodes[&NodeId(2)].view;
    let leaf = LeafId::of(BucketId::DEFAULT, view.token(&keys[0]), view.layout.partitioning());
    let counted = match cluster.ask(NodeId(2), RequestBody::Count(vec![leaf])) {
        AnswerBody::Counted(counts) => counts,
        other => panic!("{other:?}"),
    };
    assert_eq!(counted[0].expected, Some(counted[0].sum));
    assert!(counted[0].records >= 1 && counted[0].damaged == 0);
}

#[test]
pub(crate) fn a_record_that_is_recovering_is_made_whole_although_nobody_reads() {
    let mut cluster = Cluster::new(3);
    let name = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", name.clone(), "old").with_w(Quorum::All));
    cluster.damage(NodeId(1), &name);
    // It holds what the others hold, and cannot know that.
    cluster.put(NodeId(2), Put::new("default", name.clone(), "new").with_w(Quorum::All));
    assert_eq!(cluster.held(NodeId(1), &name), Err(ErrorKind::Recovering));
    exchange(&mut cluster, NodeId(1));
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &name), cluster.held(NodeId(3), &name));
}

#[test]
pub(crate) fn leaves_that_there_are_not_are_refused() {
    let mut cluster = Cluster::new(3);
    let leaf = |partition, leaf| LeafId {
        tree: TreeId { bucket: BucketId::DEFAULT, partition: PartitionId(partition) },
        leaf,
    };
    for leaves in [vec![leaf(64, 0)], vec![leaf(0, 64)], vec![leaf(0, 0); 65]] {
        let answer = cluster.ask(NodeId(1), RequestBody::Count(leaves));
        assert!(matches!(answer, AnswerBody::Refused(_)), "{answer:?}");
    }
}

#[test]
pub(crate) fn a_get_that_repairs_first_is_answered_when_all_that_were_asked_have_it() {
    let mut cluster = Cluster::with(3, Limits::default(), &[]);
    let name = cluster.key_of(NodeId(1));
    put_without(&mut cluster, NodeId(3), std::slice::from_ref(&name));
    let mut get = Get::new("default", name.clone()).with_r(Quorum::All);
    get.options.repair = ReadRepair::Foreground;
    let answer = cluster.ask(NodeId(1), RequestBody::Get(get.clone()));
    assert!(matches!(&answer, AnswerBody::Get(Ok(answer)) if answer.values.len() == 1), "{answer:?}");
    assert_eq!(stored(&cluster, NodeId(3), &name), ["missed"]);
    // Of equals nothing is written.
    let puts = cluster.record_puts();
    cluster.ask(NodeId(1), RequestBody::Get(get));
    assert_eq!(cluster.record_puts(), puts);
}
