use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, Epoch, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::wire::{AnswerBody, ReadAnswer, ReadItem, RequestBody};

use crate::cluster::{Cluster, Link, Part, texts};
use crate::puts::blind;

/// Three owners that hold `v`, and node 1's copy is damaged.
fn damaged() -> (Cluster, Key) {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.damage(NodeId(1), &key);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Damaged));
    (cluster, key)
}

/// A damage that was seen is healed once every put that may have been under way has ended.
fn let_puts_end(cluster: &mut Cluster) {
    cluster.advance(Limits::default().deadline_ms_max + 1);
}

fn peer_sees(cluster: &mut Cluster, key: &Key) -> ReadAnswer {
    let item = ReadItem { bucket: BucketId::DEFAULT, epoch: Epoch(0), key: key.clone(), unless: None };
    cluster.read_as_peer(NodeId(1), NodeId(2), vec![item]).remove(0)
}

#[test]
pub(crate) fn a_get_heals_a_damaged_record_from_the_others() {
    for reader in [1, 2].map(NodeId) {
        for r in [Quorum::One, Quorum::Majority] {
            let (mut cluster, key) = damaged();
            let answer = cluster.get(reader, Get::new("default", key.clone()).with_r(r));
            assert_eq!(texts(&answer.values), ["v"], "damaged is not absent");
            assert!(cluster.held(NodeId(1), &key).is_err(), "a put may be on its way to the others");
            let_puts_end(&mut cluster);
            if reader == NodeId(1) || r != Quorum::One {
                assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key), "{reader} {r}");
            }
        }
    }
}

#[test]
pub(crate) fn a_get_that_needs_all_fails_and_heals() {
    let (mut cluster, key) = damaged();
    let all = Get::new("default", key.clone()).with_r(Quorum::All);
    let error = cluster.try_get(NodeId(2), all.clone()).unwrap_err();
    let quorum = error.quorum().unwrap();
    assert_eq!((error.kind(), quorum.needed), (ErrorKind::Unavailable, 3));
    let causes: Vec<_> = quorum.causes.iter().map(|cause| (cause.node, cause.kind)).collect();
    assert_eq!(causes, [(NodeId(1), ErrorKind::Damaged)], "an owner that was not waited for is no cause");
    let_puts_end(&mut cluster);
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(2), &key));
    assert_eq!(texts(&cluster.get(NodeId(2), all).values), ["v"]);
}

#[test]
pub(crate) fn a_damaged_record_does_not_count_as_absent() {
    // Node 2 never had the value: with node 1's damage taken for absence, two replicas would say that there is nothing.
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(2), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(2), Link::Up);
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.damage(NodeId(1), &key);
    let error = cluster.try_get(NodeId(2), Get::new("default", key.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let overwrite = Put::new("default", key.clone(), "w");
    assert_eq!(crate::puts::not_applied(cluster.try_put(NodeId(2), overwrite)), ErrorKind::Unavailable);
    cluster.isolate(NodeId(3), Link::Up);
    assert_eq!(cluster.values(NodeId(2), &key), ["v"]);
}

#[test]
pub(crate) fn a_write_keeps_the_mark_of_the_damage_until_the_record_is_whole() {
    let (mut cluster, key) = damaged();
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "w").with_w(Quorum::One));
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering));
    assert!(matches!(peer_sees(&mut cluster, &key), ReadAnswer::Recovering(..)));
    // It has no vote: not even a get of one replica takes its word.
    let one = Get::new("default", key.clone()).with_r(Quorum::One);
    let error = cluster.try_get(NodeId(1), one.clone()).unwrap_err();
    assert!(error.quorum().unwrap().causes.iter().any(|cause| cause.kind == ErrorKind::Recovering));
    // One of the two others is not enough with w_min = 1: the other one may hold what nobody else does.
    cluster.link(NodeId(1), NodeId(2), Link::Up);
    let_puts_end(&mut cluster);
    assert_eq!(texts(&cluster.get(NodeId(1), one.clone()).values), ["v", "w"]);
    let_puts_end(&mut cluster);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering));
    cluster.isolate(NodeId(1), Link::Up);
    assert_eq!(texts(&cluster.get(NodeId(1), one).values), ["v", "w"]);
    let_puts_end(&mut cluster);
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 2);
    assert!(matches!(peer_sees(&mut cluster, &key), ReadAnswer::Record(_)));
}

#[test]
pub(crate) fn a_replicated_write_does_not_make_a_damaged_record_whole() {
    let (mut cluster, key) = damaged();
    cluster.put(NodeId(2), blind(&key, "w").with_w(Quorum::All));
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering), "a put says nothing of the rest");
    assert_eq!(cluster.values(NodeId(1), &key), ["v", "w"]);
    let_puts_end(&mut cluster);
    assert!(cluster.held(NodeId(1), &key).is_ok());
}

#[test]
pub(crate) fn a_write_over_a_damaged_record_has_an_actor_that_nobody_has_seen() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let before = cluster.put(NodeId(1), blind(&key, "a"));
    cluster.damage(NodeId(1), &key);
    let over = cluster.put(NodeId(1), blind(&key, "b"));
    assert_ne!(over.dot.unwrap().actor, before.dot.unwrap().actor);
    assert_eq!(cluster.values(NodeId(1), &key), ["a", "b"]);
    let_puts_end(&mut cluster);
    // Healed with what others hold, among it the dots of its own earlier actor.
    let after = cluster.put(NodeId(1), blind(&key, "c"));
    assert_ne!(after.dot, before.dot);
    assert_ne!(after.dot, over.dot);
    assert_eq!(cluster.values(NodeId(2), &key), ["a", "b", "c"]);
}

#[test]
pub(crate) fn a_record_that_others_gave_back_is_not_gone_on_with() {
    // Two writes of node 1, of which the others hold the first only; the record is damaged and healed from them. The actor of the
    // second write must not be used again with the same counter.
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "a").with_w(Quorum::All));
    cluster.isolate(NodeId(1), Link::Refused);
    let lost = cluster.put(NodeId(1), blind(&key, "b").with_w(Quorum::One));
    cluster.damage(NodeId(1), &key);
    cluster.isolate(NodeId(1), Link::Up);
    assert_eq!(cluster.values(NodeId(1), &key), ["a"]);
    let_puts_end(&mut cluster);
    let next = cluster.put(NodeId(1), blind(&key, "c"));
    assert_ne!(next.dot, lost.dot);
    assert_ne!(next.dot.unwrap().actor, lost.dot.unwrap().actor);
}

/// Node 3 alone holds `v` beside node 1, whose copy is damaged.
fn held_by_one_other() -> (Cluster, Key) {
    let mut cluster = Cluster::new(3);
    let keys = (0..1_000).map(|number| crate::cluster::key(&format!("key {number}")));
    let key = keys.into_iter().find(|key| cluster.owners(key) == [1, 2, 3].map(NodeId)).unwrap();
    cluster.isolate(NodeId(2), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "v"));
    cluster.isolate(NodeId(2), Link::Up);
    cluster.damage(NodeId(1), &key);
    (cluster, key)
}

#[test]
pub(crate) fn a_record_that_comes_after_the_answer_is_what_heals() {
    let (mut cluster, key) = held_by_one_other();
    // Node 2 has nothing and is asked first, so that is the answer of a get of one replica; node 3 has the value.
    let one = Get::new("default", key.clone()).with_r(Quorum::One);
    assert!(cluster.get(NodeId(1), one).values.is_empty());
    let_puts_end(&mut cluster);
    let held = cluster.held(NodeId(1), &key).unwrap().unwrap();
    assert_eq!(held.versions().len(), 1, "healed with what node 3 has, not with the emptiness of node 2");
    assert_eq!(cluster.held(NodeId(2), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn what_an_owner_said_before_the_damage_heals_nothing() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::All));
    // Node 3 has answered this get when it takes `w` from node 1, whose record is then damaged.
    cluster.link(NodeId(2), NodeId(1), Link::Slow);
    cluster.start(NodeId(2), RequestBody::Get(Get::new("default", key.clone()).with_r(Quorum::All)));
    cluster.link(NodeId(1), NodeId(2), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "w"));
    cluster.damage(NodeId(1), &key);
    cluster.link(NodeId(2), NodeId(1), Link::Up);
    cluster.release();
    let_puts_end(&mut cluster);
    match cluster.held(NodeId(1), &key) {
        Ok(Some(record)) => assert_eq!(record.versions().len(), 2, "whole without what node 3 took since"),
        other => assert_eq!(other, Err(ErrorKind::Recovering)),
    }
}

#[test]
pub(crate) fn what_others_hold_while_a_put_is_under_way_to_them_heals_nothing() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::All));
    // Node 1 has committed `w`, and loses it while it is on its way to the others. It is acknowledged when it arrives at one of them.
    for other in [2, 3].map(NodeId) {
        cluster.link(NodeId(1), other, Link::Slow);
    }
    cluster.start(NodeId(1), RequestBody::Put(blind(&key, "w")));
    cluster.damage(NodeId(1), &key);
    for _ in 0..3 {
        cluster.get(NodeId(2), Get::new("default", key.clone()).with_r(Quorum::Majority));
        let _ = cluster.try_get(NodeId(2), Get::new("default", key.clone()).with_r(Quorum::All));
        cluster.advance(1);
    }
    assert!(cluster.held(NodeId(1), &key).is_err(), "it does not vote without `w`");
    cluster.release();
    assert_eq!(cluster.values(NodeId(2), &key), ["v", "w"]);
}

#[test]
pub(crate) fn an_answer_that_comes_while_the_repair_is_made_is_no_source_of_it() {
    let (mut cluster, key) = held_by_one_other();
    cluster.link(NodeId(1), NodeId(3), Link::Slow);
    cluster.stop(NodeId(1), Part::Resolver);
    let reader = cluster.start(NodeId(1), RequestBody::Get(Get::new("default", key.clone())));
    cluster.advance(2_000);
    assert!(matches!(cluster.told(reader), Some(AnswerBody::Get(Err(_)))));
    cluster.release();
    cluster.go_on();
    let_puts_end(&mut cluster);
    match cluster.held(NodeId(1), &key) {
        Ok(Some(record)) => assert_eq!(record.versions().len(), 1, "whole without what node 3 has"),
        Err(kind) => assert!(matches!(kind, ErrorKind::Damaged | ErrorKind::Recovering)),
        Ok(None) => panic!("the record went away"),
    }
    cluster.link(NodeId(1), NodeId(3), Link::Up);
    cluster.release();
    assert_eq!(cluster.values(NodeId(1), &key), ["v"]);
    let_puts_end(&mut cluster);
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn a_damaged_record_that_nobody_else_has_becomes_an_empty_one() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::One));
    cluster.damage(NodeId(1), &key);
    cluster.isolate(NodeId(1), Link::Up);
    assert!(cluster.values(NodeId(1), &key).is_empty(), "two replicas never had it");
    let_puts_end(&mut cluster);
    assert!(cluster.held(NodeId(1), &key).unwrap().unwrap().is_empty());
    let before = cluster.record_puts();
    cluster.get(NodeId(2), Get::new("default", key).with_r(Quorum::All));
    assert_eq!(cluster.record_puts(), before, "healed once");
}
