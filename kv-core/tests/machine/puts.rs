use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::causality::DotSet;
use kv_core::command::{Decision, Get, Put, PutApplied, PutResult, Replace, ReplicaState};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::limits::Limits;
use kv_core::wire::RequestBody;

use crate::cluster::{Cluster, Link, key, texts};

pub(crate) fn blind(key: &kv_core::key::Key, value: &str) -> Put {
    Put { replace: Replace::Nothing, ..Put::new("default", key.clone(), value.to_string()) }
}

pub(crate) fn dots<const N: usize>(puts: [&PutApplied; N]) -> DotSet {
    puts.into_iter().filter_map(|put| put.dot).collect()
}

pub(crate) fn not_applied(result: PutResult) -> ErrorKind {
    match result {
        PutResult::NotApplied(error) => error.kind(),
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn indeterminate(result: PutResult) -> kv_core::error::Error {
    match result {
        PutResult::Indeterminate(error) => error,
        other => panic!("known how it ended: {other:?}"),
    }
}

#[test]
pub(crate) fn a_put_reaches_every_owner_and_is_found_everywhere() {
    let mut cluster = Cluster::new(5);
    let key = key("k");
    let owners = cluster.owners(&key);
    let applied = cluster.put(owners[0], Put::new("default", key.clone(), "v"));
    assert!(applied.acks.len() >= 2, "{applied:?}");
    assert!(applied.acks.iter().all(|ack| owners.contains(&ack.node)));
    for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        assert_eq!(cluster.values(node, &key), ["v"], "at node {node}");
        assert_eq!(cluster.held(node, &key).unwrap().is_some(), owners.contains(&node), "at node {node}");
    }
    assert_eq!(cluster.held(owners[0], &key), cluster.held(owners[2], &key));
    assert_eq!(cluster.waiting(), 0);
}

#[test]
pub(crate) fn an_overwrite_names_in_its_answer_exactly_what_it_read_and_itself() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let a = cluster.put(NodeId(1), blind(&key, "a"));
    let b = cluster.put(NodeId(2), blind(&key, "b"));
    // Only node 3 has this one, and the overwrite reads node 1 alone.
    cluster.isolate(NodeId(3), Link::Refused);
    let unseen = cluster.put(NodeId(3), blind(&key, "unseen").with_w(Quorum::One));
    let mut overwrite = Put::new("default", key.clone(), "c");
    overwrite.options.r = Some(Quorum::One);
    let c = cluster.put(NodeId(1), overwrite);
    assert_eq!(cluster.open(&c.context, &key), dots([&a, &b, &c]));
    cluster.isolate(NodeId(3), Link::Up);
    let all = Get::new("default", key.clone()).with_r(Quorum::All);
    assert_eq!(texts(&cluster.get(NodeId(1), all).values), ["c", "unseen"]);
    let d = cluster.put(NodeId(2), Put::new("default", key.clone(), "d"));
    assert_eq!(cluster.open(&d.context, &key), dots([&a, &b, &c, &unseen, &d]));
    assert_eq!(cluster.values(NodeId(3), &key), ["d"]);
}

#[test]
pub(crate) fn an_overwrite_sees_what_a_quorum_holds() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.put(NodeId(2), Put::new("default", key.clone(), "a"));
    cluster.isolate(NodeId(1), Link::Up);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "b"));
    assert_eq!(cluster.values(NodeId(2), &key), ["b"]);
}

#[test]
pub(crate) fn a_put_with_a_context_replaces_what_was_read_and_covers_no_sibling() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let a = cluster.put(NodeId(1), blind(&key, "a"));
    let read = cluster.get(NodeId(2), Get::new("default", key.clone()));
    cluster.put(NodeId(1), blind(&key, "b"));
    let c = cluster.put(NodeId(1), Put::new("default", key.clone(), "c").with_context(read.context));
    assert_eq!(cluster.open(&c.context, &key), dots([&a, &c]), "b is concurrent and not covered");
    assert_eq!(cluster.values(NodeId(3), &key), ["b", "c"]);
    // The answer's own context goes on from the put, and still does not touch the sibling.
    let d = cluster.put(NodeId(3), Put::new("default", key.clone(), "d").with_context(c.context.clone()));
    assert_eq!(cluster.open(&d.context, &key), dots([&a, &c, &d]));
    assert_eq!(cluster.values(NodeId(1), &key), ["b", "d"]);
}

#[test]
pub(crate) fn a_context_covers_no_dot_between_those_that_were_read() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let first = cluster.put(NodeId(1), blind(&key, "first"));
    let second = cluster.put(NodeId(1), blind(&key, "second"));
    // Replaces the third of one actor, which knows the first two only as siblings.
    let third = cluster.put(NodeId(1), blind(&key, "third"));
    let only = Put::new("default", key.clone(), "fourth").with_context(third.context.clone());
    let fourth = cluster.put(NodeId(2), only);
    assert_eq!(cluster.open(&third.context, &key), dots([&third]));
    assert_eq!(cluster.open(&fourth.context, &key), dots([&third, &fourth]));
    assert_eq!(cluster.values(NodeId(3), &key), ["first", "fourth", "second"]);
    assert!(first.dot.unwrap().actor == second.dot.unwrap().actor);
}

#[test]
pub(crate) fn blind_puts_replace_nothing() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let a = cluster.put(NodeId(1), blind(&key, "a"));
    let b = cluster.put(NodeId(1), blind(&key, "b"));
    assert_eq!(cluster.open(&b.context, &key), dots([&b]));
    assert_eq!(cluster.open(&a.context, &key), dots([&a]));
    for node in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.values(node, &key), ["a", "b"]);
    }
}

#[test]
pub(crate) fn a_delete_leaves_a_tombstone_that_late_copies_do_not_survive() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let put = cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(3), Link::Refused);
    let delete = cluster.put(NodeId(1), Put::delete("default", key.clone()));
    assert_eq!(cluster.open(&delete.context, &key), dots([&put, &delete]));
    assert!(cluster.values(NodeId(2), &key).is_empty());
    cluster.isolate(NodeId(3), Link::Up);
    let all = Get { ..Get::new("default", key.clone()).with_r(Quorum::All) };
    assert!(cluster.get(NodeId(3), all).values.is_empty(), "node 3 still had the value");
    let read = cluster.get(NodeId(1), Get::new("default", key.clone()));
    assert_eq!(cluster.open(&read.context, &key), dots([&put, &delete]));
    // A put after the delete replaces the tombstone.
    cluster.put(NodeId(2), Put::new("default", key.clone(), "w").with_context(read.context));
    assert_eq!(cluster.held(NodeId(1), &key).unwrap().unwrap().versions().len(), 1);
    assert_eq!(cluster.values(NodeId(1), &key), ["w"]);
}

#[test]
pub(crate) fn a_delete_of_nothing_writes_nothing() {
    let mut cluster = Cluster::new(3);
    let never = key("never");
    let applied = cluster.put(NodeId(1), Put::delete("default", never.clone()));
    assert_eq!((applied.dot, applied.acks.len()), (None, 0));
    assert_eq!(cluster.open(&applied.context, &never), DotSet::new());
    assert_eq!(cluster.record_puts(), 0);

    let gone = key("gone");
    let put = cluster.put(NodeId(1), Put::new("default", gone.clone(), "v"));
    let delete = cluster.put(NodeId(1), Put::delete("default", gone.clone()));
    let before = cluster.record_puts();
    let again = cluster.put(NodeId(2), Put::delete("default", gone.clone()));
    assert_eq!(again.dot, None);
    assert_eq!(cluster.open(&again.context, &gone), dots([&put, &delete]), "what it found");
    assert_eq!(cluster.record_puts(), before);

    let blind = Put { replace: Replace::Nothing, ..Put::delete("default", gone) };
    assert_eq!(not_applied(cluster.try_put(NodeId(1), blind)), ErrorKind::InvalidContext);
}

#[test]
pub(crate) fn what_an_owner_is_sent_is_merged_with_what_it_has() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(3), blind(&key, "of 3").with_w(Quorum::One));
    cluster.isolate(NodeId(3), Link::Up);
    cluster.put(NodeId(1), blind(&key, "of 1").with_w(Quorum::All));
    assert_eq!(cluster.held(NodeId(3), &key).unwrap().unwrap().versions().len(), 2);
    let all = Get::new("default", key).with_r(Quorum::All);
    assert_eq!(texts(&cluster.get(NodeId(2), all).values), ["of 1", "of 3"]);
}

#[test]
pub(crate) fn whole_records_travel() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "missed"));
    cluster.isolate(NodeId(3), Link::Up);
    cluster.put(NodeId(1), blind(&key, "next"));
    assert_eq!(cluster.held(NodeId(3), &key), cluster.held(NodeId(1), &key));
}

#[test]
pub(crate) fn the_context_of_a_get_that_found_nothing_goes_with_a_put() {
    for r in [Quorum::One, Quorum::All] {
        let mut cluster = Cluster::new(3);
        let key = key("k");
        let read = cluster.get(NodeId(1), Get::new("default", key.clone()).with_r(r));
        let put = cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_context(read.context));
        assert_eq!(cluster.open(&put.context, &key), dots([&put]));
    }
}

#[test]
pub(crate) fn an_answer_that_comes_again_counts_once() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.link(NodeId(1), NodeId(2), Link::AnswersThrice);
    cluster.link(NodeId(1), NodeId(3), Link::Silent);
    let put = RequestBody::Put(blind(&key, "v").with_w(Quorum::All));
    let client = cluster.start(NodeId(1), put);
    assert_eq!(cluster.told(client), None, "node 3 has not acknowledged");
    let get = RequestBody::Get(Get::new("default", key.clone()).with_r(Quorum::All));
    let reader = cluster.start(NodeId(1), get);
    assert_eq!(cluster.told(reader), None, "node 3 has not answered");
    cluster.advance(5_000);
    let Some(kv_core::wire::AnswerBody::Put(result)) = cluster.told(client).cloned() else { panic!() };
    let error = indeterminate(result);
    let quorum = error.quorum().unwrap();
    assert_eq!((quorum.needed, quorum.got), (3, 2));
    assert_eq!(quorum.causes.len(), 1);
    assert_eq!((quorum.causes[0].node, quorum.causes[0].kind), (NodeId(3), ErrorKind::DeadlineExceeded));
}

#[test]
pub(crate) fn a_put_waits_for_as_many_as_it_asks_for() {
    for (w, needed) in [(Quorum::One, 1), (Quorum::Majority, 2), (Quorum::All, 3), (Quorum::Count(2), 2)] {
        let mut cluster = Cluster::new(3);
        let key = cluster.key_of(NodeId(1));
        let mut put = blind(&key, "v").with_w(w);
        put.options.explain = true;
        let applied = cluster.put(NodeId(1), put);
        assert!(applied.acks.len() >= needed, "{w}");
        let explain = applied.explain.unwrap();
        assert_eq!((explain.needed as usize, explain.coordinator), (needed, NodeId(1)));
        assert_eq!(explain.decision, Decision::Written);
        let nodes: Vec<NodeId> = explain.replicas.iter().map(|replica| replica.node).collect();
        assert_eq!(nodes, cluster.owners(&key));
        for replica in &explain.replicas {
            let acknowledged = applied.acks.iter().find(|ack| ack.node == replica.node);
            match (replica.state, acknowledged) {
                (ReplicaState::Committed(life), Some(ack)) => assert_eq!(life, ack.incarnation),
                (ReplicaState::Waiting, None) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
pub(crate) fn a_put_that_too_few_can_commit_may_appear() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.isolate(NodeId(1), Link::Refused);
    let error = indeterminate(cluster.try_put(NodeId(1), blind(&key, "v")));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let quorum = error.quorum().unwrap();
    assert_eq!((quorum.needed, quorum.got, quorum.causes.len()), (2, 1, 2));
    assert!(quorum.causes.iter().all(|cause| cause.kind == ErrorKind::ConnectionFailed));
    cluster.isolate(NodeId(1), Link::Up);
    let all = Get::new("default", key).with_r(Quorum::All);
    assert_eq!(texts(&cluster.get(NodeId(2), all).values), ["v"], "and here it does");
}

#[test]
pub(crate) fn the_coordinator_refuses_too_many_siblings_and_a_merge_never_does() {
    let mut cluster = Cluster::with(3, Limits { siblings_max: 2, ..Limits::default() }, &[]);
    let key = key("k");
    for node in [1, 2, 3].map(NodeId) {
        cluster.isolate(node, Link::Refused);
    }
    for node in [1, 2, 3].map(NodeId) {
        for number in 0..2 {
            cluster.put(node, blind(&key, &format!("{node}-{number}")).with_w(Quorum::One));
        }
        let before = cluster.record_puts();
        let refused = cluster.try_put(node, blind(&key, "too many").with_w(Quorum::One));
        assert_eq!(not_applied(refused), ErrorKind::TooManySiblings);
        assert_eq!(cluster.record_puts(), before, "nothing was written");
    }
    for node in [1, 2, 3].map(NodeId) {
        cluster.isolate(node, Link::Up);
    }
    let all = Get::new("default", key.clone()).with_r(Quorum::All);
    let read = cluster.get(NodeId(1), all);
    assert_eq!(read.values.len(), 6);
    for node in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.held(node, &key).unwrap().unwrap().versions().len(), 6, "node {node}");
    }
    assert_eq!(not_applied(cluster.try_put(NodeId(2), blind(&key, "more"))), ErrorKind::TooManySiblings);
    cluster.put(NodeId(2), Put::new("default", key.clone(), "one").with_context(read.context));
    assert_eq!(cluster.values(NodeId(3), &key), ["one"]);
}

#[test]
pub(crate) fn the_coordinator_refuses_a_record_that_is_too_large_and_a_merge_never_does() {
    let limits = Limits { value_bytes_max: 10_000, record_bytes_max: 12_048, ..Limits::default() };
    let mut cluster = Cluster::with(3, limits, &[]);
    let key = key("k");
    let value = |letter: &str| letter.repeat(10_000);
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), blind(&key, &value("a")));
    cluster.put(NodeId(3), blind(&key, &value("b")).with_w(Quorum::One));
    let before = cluster.record_puts();
    let refused = cluster.try_put(NodeId(1), blind(&key, &value("c")));
    assert_eq!(not_applied(refused), ErrorKind::RecordTooLarge);
    assert_eq!(cluster.record_puts(), before);
    cluster.isolate(NodeId(3), Link::Up);
    let all = Get::new("default", key.clone()).with_r(Quorum::All);
    assert_eq!(cluster.get(NodeId(2), all).values.len(), 2);
    assert_eq!(cluster.held(NodeId(2), &key).unwrap().unwrap().versions().len(), 2);
}

#[test]
pub(crate) fn the_last_write_wins_also_where_a_clock_is_behind() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.nodes.get_mut(&NodeId(1)).unwrap().wall_offset_ms = 30_000;
    cluster.put(NodeId(1), Put::new("redis", key.clone(), "first"));
    assert!(!cluster.sent.iter().any(|(_, _, body)| matches!(body, RequestBody::Read(_))), "no read is made");
    // The clock of node 2 is half a minute behind, but it holds the first write.
    cluster.put(NodeId(2), Put::new("redis", key.clone(), "second"));
    for node in [1, 2, 3].map(NodeId) {
        let answer = cluster.get(node, Get::new("redis", key.clone()));
        assert_eq!(texts(&answer.values), ["second"], "at node {node}");
    }
    // And a reader's context lifts the stamp also where the coordinator has nothing.
    let read = cluster.get(NodeId(2), Get::new("redis", key.clone()));
    let third = cluster.put(NodeId(3), Put::delete("redis", key.clone()).with_context(read.context));
    assert!(third.dot.is_some());
    let get = Get::new("redis", key).with_r(Quorum::All);
    assert!(cluster.get(NodeId(1), get).values.is_empty());
}

#[test]
fn writes_that_the_last_one_beats_are_counted() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let discarded = |cluster: &Cluster| cluster.nodes.values().map(|node| node.discarded).sum::<u64>();
    for value in ["first", "second", "third"] {
        cluster.put(NodeId(1), Put::new("redis", key.clone(), value).with_w(Quorum::All));
    }
    assert_eq!(discarded(&cluster), 0, "one after the other");
    for other in [1, 2].map(NodeId) {
        cluster.link(NodeId(3), other, Link::Slow);
    }
    cluster.put(NodeId(3), Put::new("redis", key.clone(), "loses").with_w(Quorum::One));
    cluster.advance(10);
    cluster.put(NodeId(1), Put::new("redis", key.clone(), "wins"));
    cluster.release();
    assert_eq!(texts(&cluster.get(NodeId(1), Get::new("redis", key)).values), ["wins"]);
    assert_eq!(discarded(&cluster), 2, "it came too late to nodes 1 and 2");
}

#[test]
pub(crate) fn a_put_is_stamped_above_its_context_where_the_coordinator_has_no_record() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.nodes.get_mut(&NodeId(1)).unwrap().wall_offset_ms = 30_000;
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), blind(&key, "ahead"));
    let read = cluster.get(NodeId(1), Get::new("default", key.clone()));
    // Node 3 has heard of nothing: neither of the record nor of the clock.
    let put = Put::new("default", key.clone(), "after").with_context(read.context).with_w(Quorum::One);
    cluster.put(NodeId(3), put);
    let stamp = cluster.held(NodeId(3), &key).unwrap().unwrap().stamp();
    assert!(stamp > read.values[0].stamp, "{stamp} is not above {}", read.values[0].stamp);
}

#[test]
pub(crate) fn a_node_whose_clock_is_far_off_coordinates_no_write() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    for node in [1, 2, 3].map(NodeId) {
        cluster.put(node, Put::new("default", key.clone(), "v"));
    }
    for offset in [120_000, -120_000] {
        cluster.nodes.get_mut(&NodeId(2)).unwrap().wall_offset_ms = offset;
        let before = cluster.record_puts();
        let refused = cluster.try_put(NodeId(2), Put::new("default", key.clone(), "w"));
        assert_eq!(not_applied(refused), ErrorKind::ClockSkew);
        assert_eq!(cluster.record_puts(), before);
        assert_eq!(cluster.values(NodeId(2), &key), ["v"], "it still reads");
        cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
        assert_eq!(cluster.held(NodeId(2), &key), cluster.held(NodeId(1), &key), "and replicates");
    }
}

#[test]
pub(crate) fn concurrent_values_are_combined_for_readers_and_replaced_by_writers() {
    let longest = BucketProperties { resolver: "longest".into(), ..BucketProperties::default() };
    let mut cluster = Cluster::with(3, Limits::default(), &[("longest", longest)]);
    let key = key("k");
    let put = |value: &str| Put {
        replace: Replace::Nothing,
        ..Put::new("longest", key.clone(), value.to_string())
    };
    cluster.put(NodeId(1), put("long"));
    cluster.put(NodeId(2), put("longer"));
    let mut get = Get::new("longest", key.clone());
    get.options.explain = true;
    let read = cluster.get(NodeId(3), get.clone());
    assert_eq!(texts(&read.values), ["longer"]);
    assert_eq!(read.explain.unwrap().decision, Decision::Combined("longest".into()));
    cluster.put(NodeId(3), Put::new("longest", key.clone(), "x").with_context(read.context));
    let read = cluster.get(NodeId(1), get);
    assert_eq!(texts(&read.values), ["x"]);
    assert_eq!(read.explain.unwrap().decision, Decision::OnlyVersion);
}

#[test]
pub(crate) fn combining_for_readers_writes_nothing() {
    let longest = BucketProperties { resolver: "longest".into(), ..BucketProperties::default() };
    let mut cluster = Cluster::with(3, Limits::default(), &[("longest", longest)]);
    let key = cluster.key_of(NodeId(1));
    let put = |value: &str| Put {
        replace: Replace::Nothing,
        ..Put::new("longest", key.clone(), value.to_string())
    };
    cluster.put(NodeId(1), put("long"));
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(2), put("longer"));
    cluster.isolate(NodeId(3), Link::Up);
    let all = Get::new("longest", key.clone()).with_r(Quorum::All);
    let before = cluster.record_puts();
    assert_eq!(texts(&cluster.get(NodeId(2), all.clone()).values), ["longer"]);
    assert_eq!(cluster.record_puts(), before + 1, "the owner that was behind is repaired");
    for node in [1, 2, 3].map(NodeId) {
        let mut explained = all.clone();
        explained.options.explain = true;
        let explain = cluster.get(node, explained).explain.unwrap();
        let versions = explain.replicas.iter().map(|replica| replica.versions.len());
        assert_eq!(versions.collect::<Vec<_>>(), [2, 2, 2], "the versions stay as they were written");
    }
    assert_eq!(cluster.record_puts(), before + 1);
}

#[test]
pub(crate) fn a_slow_owner_holds_up_no_put() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    for slow in [2, 3].map(NodeId) {
        cluster.link(NodeId(1), slow, Link::Silent);
        let client = cluster.start(NodeId(1), RequestBody::Put(blind(&key, "v")));
        assert!(cluster.told(client).is_some(), "the two others are enough");
        // An overwrite reads before it writes, and asks the third owner after the hedge delay.
        let overwrite = Put::new("default", key.clone(), "w");
        let client = cluster.start(NodeId(1), RequestBody::Put(overwrite));
        cluster.advance(25);
        assert!(cluster.told(client).is_some());
        cluster.link(NodeId(1), slow, Link::Up);
    }
}
