use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put, PutResult};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, Part, texts};
use crate::puts::{blind, indeterminate, not_applied};

/// Begins a put that does not end by itself, lets its deadline pass, and says how it ended.
fn timed_out(cluster: &mut Cluster, node: NodeId, put: Put) -> PutResult {
    let client = cluster.start(node, RequestBody::Put(put));
    assert_eq!(cluster.told(client), None);
    cluster.advance(1_999);
    assert_eq!(cluster.told(client), None, "the deadline has not passed");
    cluster.advance(1);
    assert_eq!(cluster.waiting(), 0);
    match cluster.told(client) {
        Some(AnswerBody::Put(result)) => result.clone(),
        other => panic!("{other:?}"),
    }
}

fn three() -> (Cluster, Key) {
    let cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    (cluster, key)
}

#[test]
pub(crate) fn while_it_reads_nothing_was_written() {
    let (mut cluster, key) = three();
    cluster.isolate(NodeId(1), Link::Silent);
    let result = timed_out(&mut cluster, NodeId(1), Put::new("default", key, "v"));
    let PutResult::NotApplied(error) = result else { panic!("{result:?}") };
    let quorum = error.quorum().unwrap();
    assert_eq!((error.kind(), quorum.needed, quorum.got), (ErrorKind::DeadlineExceeded, 2, 1));
    cluster.isolate(NodeId(1), Link::Up);
    cluster.advance(10_000);
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn while_its_own_record_is_read_nothing_was_written() {
    let (mut cluster, key) = three();
    cluster.stop(NodeId(1), Part::Reader);
    let result = timed_out(&mut cluster, NodeId(1), Put::new("default", key, "v"));
    assert_eq!(not_applied(result), ErrorKind::DeadlineExceeded);
    cluster.go_on();
    assert_eq!(cluster.record_puts(), 0, "what was read came too late");
}

#[test]
pub(crate) fn while_it_resolves_nothing_was_written() {
    let (mut cluster, key) = three();
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    let before = cluster.record_puts();
    cluster.stop(NodeId(1), Part::Resolver);
    let result = timed_out(&mut cluster, NodeId(1), Put::new("default", key, "w"));
    assert_eq!(not_applied(result), ErrorKind::DeadlineExceeded);
    cluster.go_on();
    assert_eq!(cluster.record_puts(), before);
}

#[test]
pub(crate) fn while_the_writer_has_it_nobody_knows_and_the_writer_lets_it_go() {
    let (mut cluster, key) = three();
    cluster.stop(NodeId(1), Part::Writer);
    let result = timed_out(&mut cluster, NodeId(1), blind(&key, "v"));
    assert_eq!(indeterminate(result).kind(), ErrorKind::DeadlineExceeded);
    cluster.advance(1);
    cluster.go_on();
    assert_eq!(cluster.record_puts(), 0, "its deadline had passed when the writer came to it");
}

#[test]
pub(crate) fn while_it_waits_for_acknowledgements_it_may_appear() {
    let (mut cluster, key) = three();
    cluster.isolate(NodeId(1), Link::Silent);
    let error = indeterminate(timed_out(&mut cluster, NodeId(1), blind(&key, "v")));
    let quorum = error.quorum().unwrap();
    assert_eq!((error.kind(), quorum.needed, quorum.got), (ErrorKind::DeadlineExceeded, 2, 1));
    assert!(quorum.causes.iter().all(|cause| cause.kind == ErrorKind::DeadlineExceeded));
    cluster.isolate(NodeId(1), Link::Up);
    let all = Get::new("default", key).with_r(Quorum::All);
    assert_eq!(texts(&cluster.get(NodeId(2), all).values), ["v"]);
}

#[test]
pub(crate) fn an_acknowledgement_after_the_deadline_comes_too_late_also_before_the_tick() {
    for (millis, in_time) in [(1_999, true), (2_001, false)] {
        let (mut cluster, key) = three();
        cluster.link(NodeId(1), NodeId(2), Link::Slow);
        cluster.link(NodeId(1), NodeId(3), Link::Silent);
        let client = cluster.start(NodeId(1), RequestBody::Put(blind(&key, "v")));
        assert_eq!(cluster.told(client), None);
        cluster.pass(millis);
        cluster.release();
        assert!(cluster.held(NodeId(2), &key).unwrap().is_some(), "the owner has committed");
        let Some(AnswerBody::Put(result)) = cluster.told(client).cloned() else { panic!() };
        if in_time {
            assert!(matches!(result, PutResult::Applied(_)), "{result:?}");
        } else {
            let error = indeterminate(result);
            let quorum = error.quorum().unwrap();
            assert_eq!((error.kind(), quorum.needed, quorum.got), (ErrorKind::DeadlineExceeded, 2, 1));
        }
        cluster.advance(1_000);
        assert_eq!(cluster.waiting(), 0);
        assert!(cluster.told(client).is_some());
    }
}

#[test]
pub(crate) fn while_an_owner_has_it_it_may_appear() {
    let mut cluster = Cluster::new(5);
    let key = crate::cluster::key("k");
    let other = cluster.others(&key)[0];
    let first = cluster.owners(&key)[0];
    cluster.link(other, first, Link::Silent);
    let error = indeterminate(timed_out(&mut cluster, other, blind(&key, "v")));
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[test]
pub(crate) fn a_get_does_not_wait_for_a_slow_resolver() {
    let (mut cluster, key) = three();
    cluster.stop(NodeId(1), Part::Resolver);
    let reader = cluster.start(NodeId(1), RequestBody::Get(Get::new("default", key)));
    assert_eq!(cluster.told(reader), None);
    cluster.advance(2_000);
    let Some(AnswerBody::Get(Err(error))) = cluster.told(reader) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    cluster.go_on();
    assert_eq!(cluster.waiting(), 0);
}

#[test]
pub(crate) fn a_get_says_who_was_late() {
    let (mut cluster, key) = three();
    cluster.isolate(NodeId(1), Link::Silent);
    let mut get = Get::new("default", key);
    get.options.timeout_ms = Some(100);
    let reader = cluster.start(NodeId(1), RequestBody::Get(get));
    cluster.advance(99);
    assert_eq!(cluster.told(reader), None);
    cluster.advance(1);
    let Some(AnswerBody::Get(Err(error))) = cluster.told(reader) else { panic!() };
    let quorum = error.quorum().unwrap();
    assert_eq!((error.kind(), quorum.needed, quorum.got), (ErrorKind::DeadlineExceeded, 2, 1));
    assert_eq!(quorum.causes.len(), 2, "the third owner was asked too, as a hedge");
}
