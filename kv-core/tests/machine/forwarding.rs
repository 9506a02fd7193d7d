use kv_core::bucket::Quorum;
use kv_core::causality::Context;
use kv_core::command::{Get, Put, PutResult, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, Incarnation, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::record::Draft;
use kv_core::transport::Sender;
use kv_core::wire::{AnswerBody, Forward, ForwardAnswer, Request, RequestBody};

use crate::cluster::{Cluster, Link, SECRET, key, texts};
use crate::puts::{blind, indeterminate, not_applied};
use crate::store::Fault;

fn five() -> (Cluster, Key, Vec<NodeId>, NodeId) {
    let cluster = Cluster::new(5);
    let key = key("k");
    let (owners, other) = (cluster.owners(&key), cluster.others(&key)[0]);
    (cluster, key, owners, other)
}

fn forwards(cluster: &Cluster) -> Vec<NodeId> {
    let forwarded = |body: &RequestBody| matches!(body, RequestBody::Forward(_));
    cluster.sent.iter().filter(|(_, _, body)| forwarded(body)).map(|(_, to, _)| *to).collect()
}

/// The versions of `key` that all owners together hold.
fn versions(cluster: &mut Cluster, key: &Key) -> Vec<String> {
    let owner = cluster.owners(key)[0];
    texts(&cluster.get(owner, Get::new("default", key.clone()).with_r(Quorum::All)).values)
}

#[test]
pub(crate) fn a_node_that_does_not_own_the_key_hands_the_put_to_the_first_owner() {
    let (mut cluster, key, owners, other) = five();
    let applied = cluster.put(other, blind(&key, "v"));
    // The first time the owner tells its incarnation, the second it takes the put.
    assert_eq!(forwards(&cluster), [owners[0], owners[0]]);
    assert!(applied.acks.iter().all(|ack| owners.contains(&ack.node)));
    assert_eq!(applied.dot.unwrap().actor.incarnation, Incarnation(owners[0].0 << 32));
    cluster.put(other, blind(&key, "w"));
    assert_eq!(forwards(&cluster).len(), 3, "the owner is known now");
    assert_eq!(versions(&mut cluster, &key), ["v", "w"]);
}

#[test]
pub(crate) fn an_overwrite_is_read_where_it_came_in_and_handed_over_with_its_context() {
    let (mut cluster, key, owners, other) = five();
    cluster.put(owners[0], blind(&key, "a"));
    cluster.put(owners[1], blind(&key, "b"));
    let applied = cluster.put(other, Put::new("default", key.clone(), "c"));
    assert_eq!(forwards(&cluster), [owners[0]], "the read has introduced the owner");
    let readers: Vec<NodeId> = cluster
        .sent
        .iter()
        .filter(|(_, _, body)| matches!(body, RequestBody::Read(_)))
        .map(|(from, _, _)| *from)
        .collect();
    assert!(readers.iter().all(|reader| *reader == other), "{readers:?}");
    assert_eq!(versions(&mut cluster, &key), ["c"]);
    assert!(cluster.open(&applied.context, &key).contains(applied.dot.unwrap()));
}

#[test]
pub(crate) fn the_next_owner_is_asked_where_nothing_was_sent() {
    let (mut cluster, key, owners, other) = five();
    cluster.link(other, owners[0], Link::Refused);
    let applied = cluster.put(other, blind(&key, "v"));
    assert_eq!(applied.dot.unwrap().actor.incarnation, Incarnation(owners[1].0 << 32));
    assert_eq!(forwards(&cluster), [owners[0], owners[1], owners[1]]);
}

#[test]
pub(crate) fn an_owner_that_refuses_for_now_is_passed_over() {
    let (mut cluster, key, owners, other) = five();
    for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        cluster.get(node, Get::new("default", key.clone()).with_r(Quorum::All));
    }
    for owner in &owners {
        cluster.put(*owner, blind(&key, &format!("of {owner}")));
    }
    cluster.nodes.get_mut(&owners[0]).unwrap().wall_offset_ms = 500_000;
    let applied = cluster.put(other, blind(&key, "v"));
    assert_eq!(applied.dot.unwrap().actor.incarnation, Incarnation(owners[1].0 << 32));
}

#[test]
pub(crate) fn a_put_that_an_owner_may_have_run_is_given_to_no_other() {
    let (mut cluster, key, owners, other) = five();
    cluster.get(other, Get::new("default", key.clone()).with_r(Quorum::All));
    cluster.link(other, owners[0], Link::AnswerLost);
    let error = indeterminate(cluster.try_put(other, blind(&key, "v")));
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert_eq!(forwards(&cluster), [owners[0]]);
    assert_eq!(versions(&mut cluster, &key), ["v"], "it did appear, once");
}

#[test]
pub(crate) fn where_no_owner_takes_it_nothing_was_written() {
    let (mut cluster, key, owners, other) = five();
    for owner in &owners {
        cluster.link(other, *owner, Link::Refused);
    }
    let result = cluster.try_put(other, blind(&key, "v"));
    let PutResult::NotApplied(error) = result else { panic!("{result:?}") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let quorum = error.quorum().unwrap();
    let nodes: Vec<NodeId> = quorum.causes.iter().map(|cause| cause.node).collect();
    assert_eq!((nodes, quorum.got), (owners, 0));
    assert!(quorum.causes.iter().all(|cause| cause.kind == ErrorKind::ConnectionFailed));
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn a_refusal_that_every_owner_would_give_ends_the_put() {
    let mut cluster = Cluster::with(5, Limits { siblings_max: 1, ..Limits::default() }, &[]);
    let key = key("k");
    let (owners, other) = (cluster.owners(&key), cluster.others(&key)[0]);
    cluster.put(owners[0], blind(&key, "v"));
    let before = cluster.record_puts();
    assert_eq!(not_applied(cluster.try_put(other, blind(&key, "w"))), ErrorKind::TooManySiblings);
    assert!(forwards(&cluster).iter().all(|to| *to == owners[0]));
    assert_eq!(cluster.record_puts(), before);
}

#[test]
pub(crate) fn a_request_that_arrives_twice_is_run_once() {
    let (mut cluster, key, owners, other) = five();
    cluster.link(other, owners[0], Link::RequestsTwice);
    cluster.put(other, blind(&key, "v"));
    assert_eq!(cluster.held(owners[0], &key).unwrap().unwrap().versions().len(), 1);
}

/// A request that node `from` might send to `owner`.
fn forward(cluster: &Cluster, from: NodeId, owner: NodeId, key: &Key, id: u64, floor: u64) -> Request {
    let forward = Forward {
        receiver: Incarnation(owner.0 << 32),
        sender: Incarnation(3),
        id,
        floor,
        bucket: BucketId::DEFAULT,
        key: key.clone(),
        draft: Draft::of(Some("v".into())),
        context: Context::default().seal(&SECRET, BucketId::DEFAULT, key),
        options: WriteOptions::default(),
    };
    let header = cluster.door(from).header(cluster.now(from));
    Request { header, body: RequestBody::Forward(forward) }
}

#[test]
pub(crate) fn a_request_that_comes_again_long_after_is_neither_run_nor_answered() {
    let (mut cluster, key, owners, other) = five();
    let send = |cluster: &mut Cluster, id, floor| {
        let request = forward(cluster, other, owners[0], &key, id, floor);
        let client = cluster.submit(owners[0], Sender::Peer(other), request);
        cluster.run();
        cluster.told(client).is_some()
    };
    assert!(send(&mut cluster, 10, 10));
    assert!(!send(&mut cluster, 10, 10), "again");
    assert!(send(&mut cluster, 12, 12));
    assert!(!send(&mut cluster, 10, 10), "again, after its sender had settled it");
    assert!(!send(&mut cluster, 11, 10), "given up before it came");
    assert_eq!(cluster.held(owners[0], &key).unwrap().unwrap().versions().len(), 2);
}

#[test]
pub(crate) fn a_request_for_another_life_or_another_owner_is_refused() {
    let (mut cluster, key, owners, other) = five();
    let mut request = forward(&cluster, other, owners[0], &key, 1, 1);
    if let RequestBody::Forward(forward) = &mut request.body {
        forward.receiver = Incarnation(99);
    }
    let stale = cluster.submit(owners[0], Sender::Peer(other), request);
    let request = forward(&cluster, owners[0], other, &key, 1, 1);
    let strange = cluster.submit(other, Sender::Peer(owners[0]), request);
    cluster.run();
    for (client, kind) in [(stale, ErrorKind::StaleIncarnation), (strange, ErrorKind::NotOwner)] {
        match cluster.told(client) {
            Some(AnswerBody::Forward(ForwardAnswer { result })) => {
                assert_eq!(not_applied(result.clone()), kind)
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn a_put_that_was_meant_for_an_earlier_life_may_have_been_run_in_it() {
    let (mut cluster, key, owners, other) = five();
    cluster.put(other, blind(&key, "a"));
    cluster.nodes[&owners[0]].store.fail_next(Fault::NotWritten);
    cluster.put(owners[0], blind(&key, "b"));
    cluster.put(owners[0], blind(&key, "c"));
    // The owner lives another life than the one that the node heard of, and cannot know whether a copy arrived in that one.
    assert_eq!(indeterminate(cluster.try_put(other, blind(&key, "d"))).kind(), ErrorKind::StaleIncarnation);
    cluster.put(other, blind(&key, "e"));
}
