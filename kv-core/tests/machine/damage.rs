use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Get, Put, PutResult, Replace};
use kv_core::error::{Cause, ErrorKind};
use kv_core::ids::{BucketId, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::wire::{AnswerBody, ReadAnswer, ReadItem, RequestBody};

use crate::cluster::{Cluster, Link, Part, texts};
use crate::puts::blind;
use crate::store::Fault;

/// Three owners that hold `v`, and node 1's copy is damaged.
fn damaged() -> (Cluster, Key) {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.damage(NodeId(1), &key);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Damaged));
    (cluster, key)
}

fn peer_sees(cluster: &mut Cluster, key: &Key) -> ReadAnswer {
    let item = ReadItem {
        bucket: BucketId::DEFAULT,
        key: key.clone(),
        unless: None,
        stand_in: false,
        repairs: false,
    };
    cluster.read_as_peer(NodeId(1), NodeId(2), vec![item]).remove(0)
}

#[test]
pub(crate) fn a_get_heals_a_damaged_record_from_the_others() {
    for reader in [1, 2].map(NodeId) {
        for r in [Quorum::One, Quorum::Majority] {
            let (mut cluster, key) = damaged();
            let answer = cluster.get(reader, Get::new("default", key.clone()).with_r(r));
            assert_eq!(texts(&answer.values), ["v"], "damaged is not absent");
            cluster.advance(9_999);
            assert_eq!(
                cluster.held(NodeId(1), &key),
                Err(ErrorKind::Damaged),
                "not before all puts have ended"
            );
            cluster.advance(1);
            if reader == NodeId(1) || r != Quorum::One {
                assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key), "{reader} {r}");
            } else {
                assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Damaged), "nobody has seen it");
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
    cluster.advance(9_999);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Damaged), "not before all puts have ended");
    assert_eq!(cluster.try_get(NodeId(2), all.clone()).unwrap_err().kind(), ErrorKind::Unavailable);
    cluster.advance(1);
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
pub(crate) fn what_cannot_be_read_does_not_count_as_absent() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(2), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(2), Link::Up);
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.nodes[&NodeId(1)].store.fail_reads(true);
    for node in [1, 2].map(NodeId) {
        let error = cluster.try_get(node, Get::new("default", key.clone())).unwrap_err();
        let failed = |cause: &Cause| (cause.node, cause.kind) == (NodeId(1), ErrorKind::StorageFailed);
        assert!(error.quorum().unwrap().causes.iter().any(failed), "{error:?}");
        let overwrite = Put::new("default", key.clone(), "w");
        assert_eq!(crate::puts::not_applied(cluster.try_put(node, overwrite)), ErrorKind::Unavailable);
    }
    let blind = cluster.try_put(NodeId(1), blind(&key, "x"));
    assert!(matches!(blind, PutResult::NotApplied(_)), "nothing is merged with what is not known: {blind:?}");
    cluster.nodes[&NodeId(1)].store.fail_reads(false);
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
    assert_eq!(texts(&cluster.get(NodeId(1), one.clone()).values), ["v", "w"]);
    cluster.settle();
    assert_eq!(cluster.held(NodeId(2), &key).unwrap().unwrap().versions().len(), 2, "the healing has run");
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering));
    cluster.isolate(NodeId(1), Link::Up);
    assert_eq!(texts(&cluster.get(NodeId(1), one).values), ["v", "w"]);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering), "not before all puts have ended");
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 2);
    assert!(matches!(peer_sees(&mut cluster, &key), ReadAnswer::Record(..)));
}

#[test]
pub(crate) fn a_replicated_write_does_not_make_a_damaged_record_whole() {
    let (mut cluster, key) = damaged();
    cluster.put(NodeId(2), blind(&key, "w").with_w(Quorum::All));
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering), "a put says nothing of the rest");
    assert_eq!(cluster.values(NodeId(1), &key), ["v", "w"]);
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering), "not before all puts have ended");
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 2);
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
    let between = cluster.put(NodeId(1), blind(&key, "c"));
    cluster.settle();
    // Healed with what others hold, among it the dots of its own earlier actor.
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 3);
    let after = cluster.put(NodeId(1), blind(&key, "d"));
    for put in [&before, &over] {
        assert_ne!(between.dot, put.dot);
        assert_ne!(after.dot, put.dot);
    }
    assert_ne!(after.dot, between.dot);
    assert_eq!(cluster.values(NodeId(2), &key), ["a", "b", "c", "d"]);
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
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(2), &key));
    let next = cluster.put(NodeId(1), blind(&key, "c"));
    assert_ne!(next.dot, lost.dot);
    assert_ne!(next.dot.unwrap().actor, lost.dot.unwrap().actor);
}

/// Node 1 acknowledges a put that no other owner holds, and its record is then damaged. A get sees that before the put reaches the owner
/// whose acknowledgement makes it applied together with that of node 1.
fn acknowledged_and_damaged(bucket: &str, coordinator: NodeId) {
    let strict = BucketProperties { w_min: 2, ..BucketProperties::default() };
    let mut cluster = Cluster::with(3, Limits::default(), &[("strict", strict)]);
    let key = cluster.key_of(NodeId(1));
    let (late, reader) = match coordinator {
        NodeId(1) => (NodeId(2), NodeId(3)),
        _ => (NodeId(3), coordinator),
    };
    let put =
        Put { replace: Replace::Nothing, ..Put::new(bucket, key.clone(), "p").with_w(Quorum::Count(2)) };
    cluster.link(coordinator, late, Link::Slow);
    if coordinator == NodeId(1) {
        cluster.link(coordinator, reader, Link::Refused);
    } else {
        // The coordinator's own commit fails, so that the two acknowledgements are those of the others.
        cluster.nodes[&coordinator].store.fail_next(Fault::NotWritten);
    }
    let client = cluster.start(coordinator, RequestBody::Put(put));
    assert_eq!(cluster.told(client), None, "one owner has acknowledged");
    cluster.damage_in(bucket, NodeId(1), &key);
    for owner in [1, 2, 3].map(NodeId) {
        cluster.link(coordinator, owner, Link::Up);
    }
    let get = Get::new(bucket, key.clone());
    assert!(cluster.get(reader, get.clone()).values.is_empty(), "the put has not ended");
    cluster.release();
    let Some(AnswerBody::Put(PutResult::Applied(applied))) = cluster.told(client) else { panic!() };
    let mut acks: Vec<_> = applied.acks.iter().map(|ack| ack.node).collect();
    acks.sort();
    assert_eq!(acks, [NodeId(1), late], "the acknowledgement from before the damage counts");
    // Node 1 has no vote, so without the owner that has the put there is no quorum.
    cluster.isolate(late, Link::Refused);
    match cluster.try_get(reader, get.clone()) {
        Ok(answer) => assert_eq!(texts(&answer.values), ["p"], "an applied put is lost"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
    }
    // What heals is what the owners hold when the put has ended.
    cluster.isolate(late, Link::Up);
    cluster.settle();
    cluster.isolate(late, Link::Refused);
    assert_eq!(texts(&cluster.get(reader, get).values), ["p"]);
}

#[test]
pub(crate) fn a_put_that_the_damaged_owner_acknowledged_is_not_healed_away() {
    for bucket in ["default", "strict"] {
        acknowledged_and_damaged(bucket, NodeId(1));
        acknowledged_and_damaged(bucket, NodeId(2));
    }
}

#[test]
pub(crate) fn a_put_that_reaches_its_owners_after_the_healing_is_not_applied() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let mut put = blind(&key, "p");
    put.options.timeout_ms = Some(10_000);
    cluster.link(NodeId(1), NodeId(2), Link::Slow);
    cluster.link(NodeId(1), NodeId(3), Link::Refused);
    let client = cluster.start(NodeId(1), RequestBody::Put(put));
    cluster.advance(1);
    cluster.damage(NodeId(1), &key);
    assert!(cluster.values(NodeId(3), &key).is_empty());
    cluster.advance(9_998);
    assert_eq!(cluster.told(client), None);
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), Ok(None), "healed without the put");
    cluster.release();
    assert!(cluster.held(NodeId(2), &key).unwrap().is_some());
    let Some(AnswerBody::Put(result)) = cluster.told(client).cloned() else { panic!() };
    assert_eq!(crate::puts::indeterminate(result).kind(), ErrorKind::DeadlineExceeded);
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
    cluster.settle();
    let held = cluster.held(NodeId(1), &key).unwrap().unwrap();
    assert_eq!(held.versions().len(), 1, "healed with what node 3 has, not with the emptiness of node 2");
    assert_eq!(cluster.held(NodeId(2), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn what_an_owner_said_before_the_damage_heals_nothing() {
    // A node that owns nothing asks all owners at once.
    let mut cluster = Cluster::new(4);
    let key = cluster.key_of(NodeId(1));
    let (reader, owners) = (cluster.others(&key)[0], cluster.owners(&key));
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::All));
    // The last owner has answered this get when it takes `w` from node 1, whose record is then damaged. The damage is seen before
    // the owner between them has answered.
    for owner in &owners[..2] {
        cluster.link(reader, *owner, Link::Slow);
    }
    let client =
        cluster.start(reader, RequestBody::Get(Get::new("default", key.clone()).with_r(Quorum::All)));
    cluster.link(NodeId(1), owners[1], Link::Refused);
    cluster.put(NodeId(1), blind(&key, "w"));
    cluster.damage(NodeId(1), &key);
    for owner in &owners[..2] {
        cluster.link(reader, *owner, Link::Up);
    }
    cluster.release();
    assert!(matches!(cluster.told(client), Some(AnswerBody::Get(Err(_)))));
    match cluster.held(NodeId(1), &key) {
        Ok(Some(record)) => assert_eq!(record.versions().len(), 2, "whole without what the last owner took"),
        other => assert_eq!(other, Err(ErrorKind::Damaged)),
    }
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 2);
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(owners[1], &key));
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
pub(crate) fn what_an_owner_takes_while_a_damage_waits_is_healed_with() {
    let (mut cluster, key) = damaged();
    assert_eq!(cluster.values(NodeId(2), &key), ["v"]);
    // Only node 3 takes this one, after it was asked by the get that saw the damage.
    cluster.advance(5_000);
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(3), blind(&key, "w").with_w(Quorum::One));
    cluster.isolate(NodeId(3), Link::Up);
    cluster.advance(5_000);
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 2);
    assert_eq!(
        cluster.held(NodeId(2), &key),
        cluster.held(NodeId(3), &key),
        "the others are repaired as well"
    );
}

#[test]
pub(crate) fn one_healing_of_a_key_waits_at_a_time() {
    let (mut cluster, key) = damaged();
    for _ in 0..3 {
        assert_eq!(cluster.values(NodeId(2), &key), ["v"]);
        cluster.advance(3_000);
    }
    let before = (cluster.record_puts(), cluster.stats(NodeId(2)).repairs);
    cluster.advance(1_000);
    let after = (cluster.record_puts(), cluster.stats(NodeId(2)).repairs);
    assert_eq!(after, (before.0 + 1, before.1 + 1), "the first of the gets heals, and node 1 alone");
    cluster.settle();
    assert_eq!((cluster.record_puts(), cluster.stats(NodeId(2)).repairs), after);
    // The key is free again for the next damage.
    cluster.damage(NodeId(1), &key);
    assert_eq!(cluster.values(NodeId(2), &key), ["v"]);
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn an_answer_that_comes_while_the_repair_is_made_is_no_source_of_it() {
    let (mut cluster, key) = held_by_one_other();
    // What node 3 answers to the get comes when it cannot be reached for the healing, and the repair is being made without it.
    cluster.link(NodeId(1), NodeId(3), Link::Slow);
    cluster.stop(NodeId(1), Part::Resolver);
    let reader = cluster.start(NodeId(1), RequestBody::Get(Get::new("default", key.clone())));
    cluster.advance(2_000);
    assert!(matches!(cluster.told(reader), Some(AnswerBody::Get(Err(_)))));
    cluster.link(NodeId(1), NodeId(3), Link::Refused);
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Damaged), "the repair is being made");
    cluster.release();
    cluster.go_on();
    assert_eq!(cluster.held(NodeId(1), &key), Err(ErrorKind::Recovering), "whole without what node 3 has");
    cluster.link(NodeId(1), NodeId(3), Link::Up);
    assert_eq!(cluster.values(NodeId(1), &key), ["v"]);
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn a_damaged_record_that_nobody_else_has_is_none() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::One));
    cluster.damage(NodeId(1), &key);
    cluster.isolate(NodeId(1), Link::Up);
    assert!(cluster.values(NodeId(1), &key).is_empty(), "two replicas never had it");
    cluster.settle();
    assert_eq!(cluster.held(NodeId(1), &key), Ok(None));
    let before = cluster.record_puts();
    cluster.get(NodeId(2), Get::new("default", key).with_r(Quorum::All));
    cluster.settle();
    assert_eq!(cluster.record_puts(), before, "healed once");
}

#[test]
pub(crate) fn no_more_healings_than_the_bound_wait() {
    let mut cluster = Cluster::new(3);
    let keys: Vec<Key> = (0..1_030).map(|number| crate::cluster::key(&format!("key {number}"))).collect();
    for key in &keys {
        cluster.put(NodeId(1), blind(key, "v").with_w(Quorum::All));
        cluster.damage(NodeId(1), key);
    }
    for left in [6, 0] {
        for key in &keys {
            assert_eq!(cluster.values(NodeId(1), key), ["v"]);
        }
        cluster.settle();
        let damaged = keys.iter().filter(|key| cluster.held(NodeId(1), key) == Err(ErrorKind::Damaged));
        assert_eq!(damaged.count(), left);
    }
}
