use kv_core::bucket::Quorum;
use kv_core::command::{Attempt, Get, Put, PutMany, PutResult, Replace, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::record::WriteId;
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, Part, key, texts};
use crate::puts::{blind, dots, indeterminate};

const ID: WriteId = WriteId(*b"the id of a put!");

fn first(put: Put) -> Put {
    put.with_id(ID)
}

fn again(mut put: Put) -> Put {
    put.options.attempt = Attempt::Again(ID);
    put
}

#[test]
pub(crate) fn a_put_that_is_tried_again_is_found_and_not_made_anew() {
    let contents =
        [Put::new("default", key("k"), "v"), Put::new("redis", key("k"), "v"), blind(&key("k"), "v")];
    for put in contents {
        let mut cluster = Cluster::new(5);
        let owners = cluster.owners(&key("k"));
        // It is made, and nobody hears of it.
        cluster.isolate(owners[0], Link::AnswerLost);
        let mut alone = first(put.clone());
        alone.options.r = Some(Quorum::One);
        indeterminate(cluster.try_put(owners[0], alone));
        cluster.isolate(owners[0], Link::Up);
        let dot = cluster.get(owners[1], Get::new(&*put.bucket, key("k"))).values[0].dot;
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            let applied = cluster.put(node, again(put.clone()));
            assert_eq!(applied.dot, Some(dot), "{put:?} at {node}");
            assert!(applied.acks.len() >= 2 && applied.acks.iter().all(|ack| owners.contains(&ack.node)));
        }
        let found = cluster.get(owners[2], Get::new(&*put.bucket, key("k")).with_r(Quorum::All));
        assert_eq!((texts(&found.values), found.values[0].dot), (vec!["v".to_string()], dot));
    }
}

#[test]
pub(crate) fn a_put_that_is_found_is_stored_as_often_as_was_asked_for() {
    let mut cluster = Cluster::new(3);
    let (lonely, others) = (NodeId(1), [NodeId(2), NodeId(3)]);
    cluster.isolate(lonely, Link::Refused);
    let made = cluster.put(lonely, first(blind(&key("k"), "v")).with_w(Quorum::One));
    cluster.isolate(lonely, Link::Up);
    let mut retry = again(blind(&key("k"), "v")).with_w(Quorum::All);
    retry.options.r = Some(Quorum::All);
    let applied = cluster.put(others[0], retry);
    assert_eq!((applied.dot, applied.acks.len()), (made.dot, 3));
    assert_eq!(
        cluster.open(&applied.context, &key("k")),
        dots([&made]),
        "it covers itself and what it replaced"
    );
    for node in others {
        assert_eq!(cluster.held(node, &key("k")).unwrap().unwrap().versions().len(), 1);
    }
}

#[test]
pub(crate) fn a_put_that_is_not_found_is_made_with_the_context_that_it_was_given() {
    let mut cluster = Cluster::new(5);
    let a = cluster.put(NodeId(1), blind(&key("k"), "a"));
    let b = cluster.put(NodeId(2), blind(&key("k"), "b"));
    let retry = again(Put::new("default", key("k"), "c").with_context(a.context.clone()));
    for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        let c = cluster.put(node, retry.clone());
        assert_eq!(cluster.open(&c.context, &key("k")), dots([&a, &c]));
        assert_eq!(cluster.values(NodeId(3), &key("k")), ["b", "c"]);
    }
    // Once it was replaced nobody knows it any more.
    let read = cluster.get(NodeId(1), Get::new("default", key("k")));
    cluster.put(NodeId(1), Put::new("default", key("k"), "d").with_context(read.context));
    cluster.put(NodeId(1), retry);
    assert_eq!(cluster.values(NodeId(3), &key("k")), ["c", "d"]);
    assert!(b.dot.is_some());
}

#[test]
pub(crate) fn two_tries_that_did_not_know_of_each_other_are_shown_as_one_value() {
    let mut cluster = Cluster::new(3);
    let lonely = NodeId(1);
    cluster.isolate(lonely, Link::Refused);
    let one = cluster.put(lonely, first(blind(&key("k"), "v")).with_w(Quorum::One));
    let two = cluster.put(NodeId(2), again(blind(&key("k"), "v")));
    cluster.isolate(lonely, Link::Up);
    assert_ne!(one.dot, two.dot);
    for node in [NodeId(3), NodeId(1), NodeId(2)] {
        let found = cluster.get(node, Get::new("default", key("k")).with_r(Quorum::All));
        assert_eq!(texts(&found.values), ["v"], "at {node}");
        assert_eq!(cluster.open(&found.context, &key("k")), dots([&one, &two]));
    }
    // A third try is told of both, and what replaces it replaces both.
    let three = cluster.put(NodeId(3), again(blind(&key("k"), "v")));
    assert_eq!(three.dot, one.dot.min(two.dot));
    cluster.put(NodeId(2), Put::new("default", key("k"), "w").with_context(three.context));
    let found = cluster.get(NodeId(1), Get::new("default", key("k")).with_r(Quorum::All));
    assert_eq!(texts(&found.values), ["w"]);
    // An id that two different values have hides neither.
    cluster.put(NodeId(1), first(blind(&key("k"), "x")));
    cluster.put(NodeId(1), first(blind(&key("k"), "y")));
    assert_eq!(cluster.values(NodeId(2), &key("k")), ["w", "x", "y"]);
}

#[test]
pub(crate) fn a_delete_that_is_tried_again_is_found_by_its_tombstone() {
    let mut cluster = Cluster::new(3);
    let made = cluster.put(NodeId(1), blind(&key("k"), "v"));
    let delete = Put::delete("default", key("k")).with_context(made.context);
    let deleted = cluster.put(NodeId(1), first(delete.clone()));
    assert_eq!(cluster.put(NodeId(2), again(delete)).dot, deleted.dot);
}

#[test]
pub(crate) fn an_id_travels_with_a_put_that_is_handed_over() {
    let mut cluster = Cluster::new(5);
    let outside = cluster.others(&key("k"))[0];
    let made = cluster.put(outside, first(blind(&key("k"), "v")));
    assert_eq!(cluster.put(outside, again(blind(&key("k"), "v"))).dot, made.dot);
    let owner = cluster.owners(&key("k"))[2];
    assert_eq!(cluster.held(owner, &key("k")).unwrap().unwrap().versions()[0].id, Some(ID));
}

#[test]
pub(crate) fn puts_of_many_keys_have_no_id_together() {
    let mut cluster = Cluster::new(3);
    let options = WriteOptions { attempt: Attempt::First(ID), ..WriteOptions::default() };
    let put = Put::new("default", key("k"), "v");
    let puts = vec![(put.key, put.content, Replace::Overwrite)];
    let answer = cluster.ask(NodeId(1), RequestBody::PutMany(PutMany { bucket: put.bucket, puts, options }));
    let AnswerBody::Refused(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error.kind(), ErrorKind::InvalidPut);
}

#[test]
pub(crate) fn a_retry_that_finds_its_put_while_the_writer_is_slow_ends_as_every_put_does() {
    let mut cluster = Cluster::new(3);
    cluster.put(NodeId(1), first(blind(&key("k"), "v")));
    cluster.stop(NodeId(1), Part::Writer);
    let retry = again(blind(&key("k"), "v"));
    let client = cluster.start(NodeId(1), RequestBody::Put(retry));
    cluster.advance(2_000);
    let answer = cluster.told(client).cloned();
    let Some(AnswerBody::Put(PutResult::Indeterminate(error))) = answer else { panic!("{answer:?}") };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}
