use kv_core::bucket::Quorum;
use kv_core::command::{Decision, Get, Put, ReplicaState};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, Part, key, texts};
use crate::puts::blind;
use crate::store::Fault;

fn explained(key: &kv_core::key::Key, r: Quorum) -> Get {
    let mut get = Get::new("default", key.clone()).with_r(r);
    get.options.explain = true;
    get
}

#[test]
pub(crate) fn a_get_brings_owners_up_to_date_that_were_behind() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(3), Link::Up);
    assert_eq!(cluster.held(NodeId(3), &key), Ok(None));
    assert_eq!(cluster.values(NodeId(3), &key), ["v"]);
    assert_eq!(cluster.held(NodeId(3), &key), cluster.held(NodeId(1), &key));
    assert_eq!(cluster.stats(NodeId(3)).repairs, 1);
}

#[test]
pub(crate) fn what_is_under_way_to_an_owner_is_not_sent_to_it_again() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(3), Link::Up);
    cluster.stop(NodeId(3), Part::Writer);
    for _ in 0..10 {
        cluster.get(NodeId(1), Get::new("default", key.clone()).with_r(Quorum::All));
    }
    let stats = cluster.stats(NodeId(1));
    assert_eq!((stats.repairs, stats.repairs_left_out), (1, 9));
    cluster.go_on();
    assert_eq!(cluster.held(NodeId(3), &key), cluster.held(NodeId(1), &key));
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "w"));
    cluster.isolate(NodeId(3), Link::Up);
    cluster.get(NodeId(1), Get::new("default", key.clone()).with_r(Quorum::All));
    assert_eq!(cluster.held(NodeId(3), &key), cluster.held(NodeId(1), &key), "the next is sent");
}

#[test]
pub(crate) fn a_repair_that_fails_fails_no_get() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.isolate(NodeId(3), Link::Up);
    let all = || Get::new("default", key.clone()).with_r(Quorum::All);
    cluster.nodes[&NodeId(3)].store.fail_next(Fault::NotWritten);
    assert_eq!(texts(&cluster.get(NodeId(1), all()).values), ["v"]);
    assert_eq!(cluster.held(NodeId(3), &key), Ok(None));
    cluster.get(NodeId(1), all());
    assert_eq!(cluster.held(NodeId(3), &key), cluster.held(NodeId(1), &key));
}

#[test]
pub(crate) fn concurrent_writes_on_two_sides_are_all_found_and_spread() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    for node in [1, 2, 3].map(NodeId) {
        cluster.isolate(node, Link::Refused);
    }
    for node in [1, 2, 3].map(NodeId) {
        cluster.put(node, blind(&key, &format!("of {node}")).with_w(Quorum::One));
    }
    for node in [1, 2, 3].map(NodeId) {
        cluster.isolate(node, Link::Up);
    }
    let answer = cluster.get(NodeId(2), Get::new("default", key.clone()).with_r(Quorum::All));
    assert_eq!(texts(&answer.values), ["of 1", "of 2", "of 3"]);
    let held = cluster.held(NodeId(1), &key);
    assert_eq!(held.clone().unwrap().unwrap().versions().len(), 3);
    assert_eq!((cluster.held(NodeId(2), &key), cluster.held(NodeId(3), &key)), (held.clone(), held));
}

#[test]
pub(crate) fn nothing_is_written_where_replicas_agree() {
    let mut cluster = Cluster::new(5);
    let key = key("k");
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.put(NodeId(2), blind(&key, "w"));
    let before = cluster.record_puts();
    for node in [1, 2, 3, 4, 5].map(NodeId) {
        for r in [Quorum::One, Quorum::Majority, Quorum::All] {
            let answer = cluster.get(node, Get::new("default", key.clone()).with_r(r));
            assert_eq!(texts(&answer.values), ["v", "w"]);
            cluster.get(node, Get::new("default", crate::cluster::key("never written")).with_r(r));
        }
    }
    cluster.advance(10_000);
    assert_eq!(cluster.record_puts(), before);
    assert!(cluster.nodes.keys().all(|node| cluster.stats(*node).repairs == 0));
}

#[test]
pub(crate) fn replicas_that_hold_the_same_send_no_record() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    cluster.sent.clear();
    cluster.get(NodeId(1), Get::new("default", key.clone()).with_r(Quorum::All));
    let asked = cluster.sent.iter().filter_map(|(_, _, body)| match body {
        RequestBody::Read(items) => Some(items[0].unless.is_some()),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), [true, true]);
}

#[test]
pub(crate) fn a_get_waits_for_as_many_as_it_asks_for() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.isolate(NodeId(1), Link::Refused);
    cluster.put(NodeId(2), Put::new("default", key.clone(), "v"));
    let error = cluster.try_get(NodeId(1), Get::new("default", key.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let quorum = error.quorum().unwrap();
    assert_eq!((quorum.needed, quorum.got, quorum.causes.len()), (2, 1, 2));
    let stale = cluster.get(NodeId(1), Get::new("default", key.clone()).with_r(Quorum::One));
    assert!(stale.values.is_empty(), "one replica is enough for a get that says so");
    cluster.link(NodeId(1), NodeId(2), Link::Up);
    assert_eq!(cluster.values(NodeId(1), &key), ["v"]);
}

#[test]
pub(crate) fn a_slow_owner_is_routed_around() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    let second = cluster.owners(&key)[1];
    cluster.link(NodeId(1), second, Link::Silent);
    let get = || RequestBody::Get(Get::new("default", key.clone()));
    let reader = cluster.start(NodeId(1), get());
    assert_eq!(cluster.told(reader), None);
    cluster.advance(25);
    assert!(cluster.told(reader).is_some(), "the third owner was asked after the hedge delay");
    for _ in 0..4 {
        cluster.start(NodeId(1), get());
        cluster.advance(25);
    }
    let reader = cluster.start(NodeId(1), get());
    assert!(cluster.told(reader).is_some(), "it is asked last now");
}

#[test]
pub(crate) fn a_record_that_comes_after_not_found_is_spread() {
    let mut cluster = Cluster::new(3);
    let keys = (0..1_000).map(|number| key(&format!("key {number}")));
    let key = keys.into_iter().find(|key| cluster.owners(key) == [1, 2, 3].map(NodeId)).unwrap();
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NodeId(3), blind(&key, "v").with_w(Quorum::One));
    cluster.isolate(NodeId(3), Link::Up);
    // Node 2 is slow, so node 3 is asked as well, and is slower still.
    cluster.link(NodeId(1), NodeId(2), Link::Slow);
    cluster.link(NodeId(1), NodeId(3), Link::Slow);
    let reader = cluster.start(NodeId(1), RequestBody::Get(Get::new("default", key.clone())));
    cluster.advance(25);
    cluster.release();
    assert!(matches!(cluster.told(reader), Some(AnswerBody::Get(Ok(answer))) if answer.values.is_empty()));
    assert_eq!(cluster.held(NodeId(1), &key), cluster.held(NodeId(3), &key));
    cluster.release();
    assert_eq!(cluster.held(NodeId(2), &key), cluster.held(NodeId(3), &key));
}

#[test]
pub(crate) fn explain_says_who_answered_what_and_why() {
    let mut cluster = Cluster::new(5);
    let key = key("k");
    let owners = cluster.owners(&key);
    cluster.isolate(owners[2], Link::Refused);
    let old = cluster.put(owners[0], Put::new("default", key.clone(), "old"));
    cluster.isolate(owners[2], Link::Up);
    cluster.isolate(owners[1], Link::Refused);
    let new = cluster.put(owners[0], Put::new("default", key.clone(), "newer"));
    cluster.isolate(owners[1], Link::Up);

    let explain = cluster.get(owners[0], explained(&key, Quorum::All)).explain.unwrap();
    let view = &cluster.nodes[&owners[0]].view;
    assert_eq!(explain.coordinator, owners[0]);
    assert_eq!(explain.token, view.token(&key));
    assert_eq!(explain.partition, view.layout.partitioning().partition(explain.token));
    assert_eq!((explain.layout, explain.needed), (1, 3));
    assert_eq!(explain.decision, Decision::OnlyVersion);
    let replicas: Vec<_> = explain
        .replicas
        .iter()
        .map(|replica| {
            let versions = replica.versions.iter();
            let versions: Vec<_> =
                versions.map(|version| (version.dot, version.value_bytes, version.won)).collect();
            (replica.node, replica.state, replica.repaired, versions)
        })
        .collect();
    let (old, new) = (old.dot.unwrap(), new.dot.unwrap());
    assert_eq!(
        replicas,
        [
            (owners[0], ReplicaState::Answered, false, vec![(new, Some(5), true)]),
            (owners[1], ReplicaState::Answered, true, vec![(old, Some(3), false)]),
            (owners[2], ReplicaState::Answered, false, vec![(new, Some(5), true)]),
        ]
    );
}

#[test]
pub(crate) fn explain_names_owners_that_were_not_asked_and_those_that_failed() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let owners = cluster.owners(&key);
    cluster.put(owners[0], Put::new("default", key.clone(), "v"));
    let states = |cluster: &mut Cluster| -> Vec<ReplicaState> {
        let explain = cluster.get(owners[0], explained(&key, Quorum::Majority)).explain.unwrap();
        explain.replicas.iter().map(|replica| replica.state).collect()
    };
    use ReplicaState::{Answered, Failed, NotAsked};
    assert_eq!(states(&mut cluster), [Answered, Answered, NotAsked]);
    cluster.link(owners[0], owners[1], Link::Refused);
    assert_eq!(states(&mut cluster), [Answered, Failed(ErrorKind::ConnectionFailed), Answered]);
    cluster.link(owners[0], owners[1], Link::Up);
    cluster.damage(owners[1], &key);
    assert_eq!(states(&mut cluster), [Answered, Failed(ErrorKind::Damaged), Answered]);
}

#[test]
pub(crate) fn explain_says_why_the_answer_is_what_it_is() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let decision = |cluster: &mut Cluster, bucket: &str| {
        let mut get = Get { bucket: bucket.into(), ..explained(&key, Quorum::All) };
        get.options.explain = true;
        cluster.get(NodeId(1), get).explain.unwrap().decision
    };
    assert_eq!(decision(&mut cluster, "default"), Decision::NotFound);
    cluster.put(NodeId(1), blind(&key, "a"));
    assert_eq!(decision(&mut cluster, "default"), Decision::OnlyVersion);
    cluster.put(NodeId(1), blind(&key, "b"));
    assert_eq!(decision(&mut cluster, "default"), Decision::Siblings);
    cluster.put(NodeId(1), Put::delete("default", key.clone()));
    assert_eq!(decision(&mut cluster, "default"), Decision::Deleted);
    for node in [1, 2].map(NodeId) {
        cluster.isolate(node, Link::Refused);
    }
    for node in [1, 2].map(NodeId) {
        cluster.put(node, Put::new("redis", key.clone(), node.to_string()).with_w(Quorum::One));
    }
    for node in [1, 2].map(NodeId) {
        cluster.isolate(node, Link::Up);
    }
    assert_eq!(decision(&mut cluster, "redis"), Decision::Kept("last_write_wins".into()));
}
