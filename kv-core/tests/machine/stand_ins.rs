use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{Get, Put, PutApplied, PutResult};
use kv_core::error::ErrorKind;
use kv_core::ids::{Incarnation, NodeId};
use kv_core::key::{Key, StorageKey};
use kv_core::limits::Limits;
use kv_core::machine::{CallToken, Event, PeerAnswer};
use kv_core::replica::{CopiesPage, read_copies};
use kv_core::storage::{Batch, Durability, Storage};
use kv_core::wire::{AnswerBody, WriteAnswer};

use crate::cluster::{Cluster, Link, key, texts};
use crate::exchanges::exchange;
use crate::puts::blind;

/// Five nodes with sloppy quorums, a key, its owners, and the others in the order in which they stand in.
fn five() -> (Cluster, Key, Vec<NodeId>, Vec<NodeId>) {
    five_with(Limits::default())
}

fn five_with(limits: Limits) -> (Cluster, Key, Vec<NodeId>, Vec<NodeId>) {
    let cluster = Cluster::sloppy(5, limits);
    let key = key("k");
    let view = &cluster.nodes[&NodeId(1)].view;
    let stand_ins = view.stand_ins(view.bucket("default").unwrap(), view.token(&key)).to_vec();
    let owners = cluster.owners(&key);
    (cluster, key, owners, stand_ins)
}

fn copies(cluster: &Cluster, node: NodeId) -> CopiesPage {
    read_copies(&*cluster.nodes[&node].store, None).unwrap()
}

/// For whom each acknowledgement stands.
fn stands_for(applied: &PutApplied) -> Vec<(NodeId, Option<NodeId>)> {
    applied.acks.iter().map(|ack| (ack.node, ack.stands_for)).collect()
}

/// The node that keeps copies for an owner.
fn keeper(cluster: &Cluster, owner: NodeId) -> Option<NodeId> {
    cluster.nodes.keys().copied().find(|node| copies(cluster, *node).owner == Some(owner))
}

/// Lets several rounds of delivery happen.
fn deliver(cluster: &mut Cluster) {
    for _ in 0..4 {
        cluster.advance(1_000);
    }
}

#[test]
pub(crate) fn others_stand_in_for_owners_that_cannot_be_reached_and_the_answer_says_so() {
    let (mut cluster, key, owners, stand_ins) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    let applied = cluster.put(owners[0], blind(&key, "v"));
    let [(first, None), (second, Some(owner))] = stands_for(&applied)[..] else { panic!("{applied:?}") };
    assert_eq!(first, owners[0]);
    assert!(stand_ins.contains(&second) && owners[1..].contains(&owner));
    let answer = cluster.get(owners[0], Get::new("default", key.clone()));
    assert_eq!((texts(&answer.values), answer.stand_ins), (vec!["v".to_string()], 1));
    // The same with owners alone.
    let mut put = blind(&key, "w");
    put.options.quorum = Some(QuorumMode::Strict);
    assert!(matches!(cluster.try_put(owners[0], put), PutResult::Indeterminate(_)));
    let mut get = Get::new("default", key.clone());
    get.options.quorum = Some(QuorumMode::Strict);
    let error = cluster.try_get(owners[0], get).unwrap_err();
    assert_eq!((error.kind(), error.quorum().unwrap().got), (ErrorKind::Unavailable, 1));
}

#[test]
pub(crate) fn copies_are_delivered_to_the_owners_that_they_are_kept_for_and_then_let_go() {
    let (mut cluster, key, owners, _) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    deliver(&mut cluster);
    assert!(keeper(&cluster, owners[1]).is_some(), "nobody else is given it");
    assert!(keeper(&cluster, owners[2]).is_some());
    cluster.isolate(owners[1], Link::Up);
    cluster.isolate(owners[2], Link::Refused);
    deliver(&mut cluster);
    assert_eq!(keeper(&cluster, owners[1]), None);
    assert!(keeper(&cluster, owners[2]).is_some());
    cluster.isolate(owners[2], Link::Up);
    deliver(&mut cluster);
    assert_eq!(keeper(&cluster, owners[2]), None);
    for owner in owners {
        assert!(cluster.held(owner, &key).unwrap().is_some(), "node {owner} has it");
    }
}

#[test]
pub(crate) fn a_copy_whose_owner_has_not_committed_it_is_kept() {
    let (mut cluster, key, owners, _) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    cluster.isolate(owners[1], Link::AnswerLost);
    deliver(&mut cluster);
    assert!(keeper(&cluster, owners[1]).is_some(), "nobody said that it was committed");
}

#[test]
fn a_node_whose_store_was_replaced_stands_in_again_when_it_was_told_how_far_the_owners_are() {
    let (mut cluster, key, owners, stand_ins) = five();
    for node in stand_ins {
        cluster.lose(node);
    }
    let put_without = |cluster: &mut Cluster| {
        for owner in &owners[1..] {
            cluster.isolate(*owner, Link::Refused);
        }
        let result = cluster.try_put(owners[0], blind(&key, "v"));
        for owner in &owners[1..] {
            cluster.isolate(*owner, Link::Up);
        }
        cluster.advance(1_000);
        result
    };
    assert!(!matches!(put_without(&mut cluster), PutResult::Applied(_)), "nobody may take a copy yet");
    for _ in 0..3 {
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            exchange(&mut cluster, node);
            cluster.advance(20);
        }
    }
    assert!(matches!(put_without(&mut cluster), PutResult::Applied(_)));
}

#[test]
fn a_copy_that_cannot_be_read_any_more_is_dropped() {
    let (mut cluster, key, owners, _) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    let keeper = keeper(&cluster, owners[1]).unwrap();
    let store = cluster.nodes[&keeper].store.clone();
    let copy = copies(&cluster, keeper).copies.remove(0);
    let name = StorageKey::stand_in(copy.owner, copy.bucket, copy.token, copy.read.epoch, key.as_bytes());
    let mut batch = Batch::new();
    batch.put(name.as_bytes(), &[b"rubbish"]);
    store.write(&batch, Durability::Synced).unwrap();
    cluster.isolate(owners[1], Link::Up);
    deliver(&mut cluster);
    assert_eq!(copies(&cluster, keeper), CopiesPage::default());
    assert_eq!(cluster.stats(keeper).copies_damaged, 1);
}

#[test]
pub(crate) fn what_was_written_since_stays_when_a_copy_is_let_go() {
    let (mut cluster, key, owners, _) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    let keeper_of = keeper(&cluster, owners[1]).unwrap();
    // The delivery has begun, and its answer is still to come, when another write arrives.
    cluster.link(keeper_of, owners[1], Link::Slow);
    cluster.advance(1_000);
    cluster.put(owners[0], blind(&key, "w"));
    cluster.isolate(owners[1], Link::Up);
    cluster.release();
    let left = copies(&cluster, keeper_of).copies;
    let left: Vec<_> = left.iter().flat_map(|copy| copy.record.decode().unwrap().into_versions()).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].value.as_deref(), Some(&b"w"[..]));
    deliver(&mut cluster);
    assert_eq!(keeper(&cluster, owners[1]), None);
    let values = cluster.get(owners[1], Get::new("default", key).with_r(Quorum::One)).values;
    assert_eq!(texts(&values), ["v", "w"]);
}

#[test]
pub(crate) fn an_answer_that_comes_again_lets_go_of_no_copy_for_another_owner() {
    let mut cluster = Cluster::sloppy(4, Limits::default());
    let key = key("k");
    let (owners, keeper_of) = (cluster.owners(&key), cluster.others(&key)[0]);
    let (first, second) = (owners[1].min(owners[2]), owners[1].max(owners[2]));
    for absent in [first, second] {
        cluster.isolate(absent, Link::Refused);
        cluster.put(owners[0], blind(&key, "v"));
        cluster.isolate(absent, Link::Up);
    }
    // The first has its copies and has said so; those for the second are under way.
    cluster.link(keeper_of, second, Link::Slow);
    deliver(&mut cluster);
    assert_eq!(copies(&cluster, keeper_of).owner, Some(second));
    let answer = PeerAnswer {
        incarnation: Incarnation(first.0 << 32),
        body: AnswerBody::Write(vec![WriteAnswer::Committed(Durability::Synced)]),
    };
    let (token, result) = (CallToken::Delivery(1), Ok(answer));
    cluster.handle(keeper_of, Event::Answer { token, peer: first, took_us: 1, result });
    cluster.run();
    assert_eq!(copies(&cluster, keeper_of).owner, Some(second), "the second has not said anything");
}

#[test]
pub(crate) fn where_no_owner_can_be_reached_the_first_that_stands_in_coordinates() {
    let (mut cluster, key, owners, stand_ins) = five();
    for owner in &owners {
        cluster.isolate(*owner, Link::Refused);
    }
    let applied = cluster.put(stand_ins[1], blind(&key, "v"));
    let stands_for = stands_for(&applied);
    assert_eq!(stands_for.len(), 2);
    assert!(stands_for.iter().all(|(node, owner)| stand_ins.contains(node) && owner.is_some()));
    assert_eq!(applied.dot.unwrap().actor.incarnation.0, stand_ins[0].0 << 32, "the first of them");
    let answer = cluster.get(stand_ins[1], Get::new("default", key.clone()));
    assert_eq!((texts(&answer.values), answer.stand_ins), (vec!["v".to_string()], 2));
    let mut overwrite = Put::new("default", key.clone(), "w");
    overwrite.options.w = Some(Quorum::Count(2));
    let applied = cluster.put(stand_ins[0], overwrite);
    assert_eq!(applied.stand_ins_read, 2, "what it overwrites was found at nodes that stand in");
    for owner in &owners {
        cluster.isolate(*owner, Link::Up);
    }
    deliver(&mut cluster);
    assert_eq!(cluster.values(owners[0], &key), ["w"]);
    assert!(stand_ins.iter().all(|node| copies(&cluster, *node).owner.is_none()));
}

#[test]
pub(crate) fn a_node_that_keeps_as_much_as_it_may_refuses_more_and_does_not_count() {
    let (mut cluster, key, owners, stand_ins) =
        five_with(Limits { stand_in_bytes_max: 1, ..Limits::default() });
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    let PutResult::Indeterminate(error) = cluster.try_put(owners[0], blind(&key, "w")) else { panic!() };
    let quorum = error.quorum().unwrap();
    assert_eq!(quorum.got, 1);
    let full = quorum.causes.iter().filter(|cause| cause.kind == ErrorKind::Overloaded);
    assert_eq!(full.map(|cause| cause.node).collect::<Vec<_>>(), stand_ins);
    assert_eq!(copies(&cluster, stand_ins[0]).copies.len(), 1, "what it has it keeps");
}

#[test]
pub(crate) fn a_copy_is_refused_for_somebody_who_is_no_owner() {
    let (mut cluster, key, owners, stand_ins) = five();
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    cluster.put(owners[0], blind(&key, "v"));
    let sent = cluster.sent.iter().rev().find_map(|(_, to, body)| match body {
        kv_core::wire::RequestBody::Write(items) if *to == stand_ins[0] => Some(items.clone()),
        _ => None,
    });
    let good = sent.unwrap().remove(0);
    let view = &cluster.nodes[&stand_ins[0]].view;
    let refused = |for_owner| {
        let item = kv_core::wire::WriteItem { stand_in_for: for_owner, ..good.clone() };
        let group = kv_core::machine::accept_writes::<()>(view, None, vec![item]);
        group.items[0].as_ref().err().copied()
    };
    assert_eq!(refused(Some(owners[1])), None);
    assert_eq!(refused(Some(stand_ins[1])), Some(ErrorKind::NotOwner));
    assert_eq!(refused(None), Some(ErrorKind::NotOwner));
}
