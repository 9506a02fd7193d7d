use kv_core::bucket::Quorum;
use kv_core::command::{Content, Get, GetMany, Put, PutMany, PutResult, ReadOptions, Replace, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::storage::{Batch, Durability, Storage};
use kv_core::wire::{AnswerBody, ReadAnswer, ReadItem, RequestBody};

use crate::cluster::{Cluster, Part, key, texts};
use crate::puts::{blind, not_applied};

fn put_many(cluster: &mut Cluster, node: NodeId, puts: Vec<(Key, &str, Replace)>) -> Vec<PutResult> {
    let puts =
        puts.into_iter().map(|(key, value, replace)| (key, Content::value(value.to_string()), replace));
    let command =
        PutMany { bucket: "default".into(), puts: puts.collect(), options: WriteOptions::default() };
    match cluster.ask(node, RequestBody::PutMany(command)) {
        AnswerBody::PutMany(results) => results,
        other => panic!("{other:?}"),
    }
}

fn get_many(cluster: &mut Cluster, node: NodeId, keys: Vec<Key>) -> Vec<Result<Vec<String>, ErrorKind>> {
    let command = GetMany { bucket: "default".into(), keys, options: ReadOptions::default() };
    match cluster.ask(node, RequestBody::GetMany(command)) {
        AnswerBody::GetMany(results) => {
            let texts = |result: &Result<kv_core::command::GetAnswer, kv_core::error::Error>| {
                result.as_ref().map(|answer| texts(&answer.values)).map_err(|error| error.kind())
            };
            results.iter().map(texts).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn sent(cluster: &Cluster, wanted: impl Fn(&RequestBody) -> bool) -> usize {
    cluster.sent.iter().filter(|(_, _, body)| wanted(body)).count()
}

#[test]
pub(crate) fn a_later_write_of_a_key_in_one_batch_sees_the_earlier_ones() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let puts = ["a", "b", "c"].map(|value| (key.clone(), value, Replace::Nothing));
    let results = put_many(&mut cluster, NodeId(1), puts.into());
    let dots: Vec<_> = results.into_iter().map(|result| result.into_result().unwrap().dot.unwrap()).collect();
    assert_eq!(dots.iter().map(|dot| dot.counter).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(dots.iter().all(|dot| dot.actor == dots[0].actor));
    for node in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.values(node, &key), ["a", "b", "c"], "at node {node}");
    }
    let puts = cluster.nodes[&NodeId(1)].store.record_puts();
    assert_eq!(puts, 1, "one batch, one record");
}

#[test]
pub(crate) fn writes_that_gathered_while_the_writer_was_busy_are_one_batch() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let seen = cluster.put(NodeId(1), blind(&key, "seen"));
    cluster.stop(NodeId(1), Part::Writer);
    let put = Put::new("default", key.clone(), "after").with_context(seen.context);
    let clients = [RequestBody::Put(blind(&key, "beside")), RequestBody::Put(put)]
        .map(|body| cluster.start(NodeId(1), body));
    cluster.sent.clear();
    cluster.go_on();
    assert!(clients.iter().all(|client| cluster.told(*client).is_some()));
    assert_eq!(sent(&cluster, |body| matches!(body, RequestBody::Write(_))), 2, "one request to each owner");
    assert_eq!(cluster.values(NodeId(2), &key), ["after", "beside"]);
}

#[test]
pub(crate) fn each_key_of_a_put_many_ends_for_itself() {
    let mut cluster = Cluster::with(5, Limits { value_bytes_max: 100, ..Limits::default() }, &[]);
    let large = "x".repeat(101);
    let forged = Replace::Context(kv_core::causality::ContextToken::from_bytes("forged"));
    let puts = vec![
        (key("a"), "1", Replace::Overwrite),
        (key("b"), &*large, Replace::Overwrite),
        (key("c"), "3", forged),
        (key("d"), "4", Replace::Nothing),
    ];
    let results = put_many(&mut cluster, NodeId(1), puts);
    assert!(matches!(&results[0], PutResult::Applied(_)), "{results:?}");
    assert_eq!(not_applied(results[1].clone()), ErrorKind::ValueTooLarge);
    assert_eq!(not_applied(results[2].clone()), ErrorKind::InvalidContext);
    assert!(matches!(&results[3], PutResult::Applied(_)));
    let keys = ["d", "c", "b", "a", "a"].map(key);
    let found = get_many(&mut cluster, NodeId(2), keys.into());
    let expected: Vec<Vec<&str>> = vec![vec!["4"], vec![], vec![], vec!["1"], vec!["1"]];
    assert_eq!(found.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
}

#[test]
pub(crate) fn a_batch_of_nothing_is_answered_with_nothing() {
    let mut cluster = Cluster::new(3);
    assert!(put_many(&mut cluster, NodeId(1), Vec::new()).is_empty());
    assert!(get_many(&mut cluster, NodeId(1), Vec::new()).is_empty());
}

#[test]
pub(crate) fn one_key_that_cannot_be_read_does_not_fail_the_others() {
    let mut cluster = Cluster::new(5);
    let keys: Vec<Key> = (0..20).map(|number| key(&format!("key {number}"))).collect();
    for key in &keys {
        cluster.put(NodeId(1), Put::new("default", key.clone(), "v"));
    }
    cluster.isolate(NodeId(1), crate::cluster::Link::Refused);
    cluster.link(NodeId(1), NodeId(2), crate::cluster::Link::Up);
    let readable = |key: &Key| cluster.owners(key).iter().filter(|owner| owner.0 <= 2).count() >= 2;
    let expected: Vec<bool> = keys.iter().map(readable).collect();
    let found = get_many(&mut cluster, NodeId(1), keys);
    assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
    assert!(expected.contains(&true) && expected.contains(&false));
    assert!(found.iter().flatten().all(|values| values == &["v"]));
}

#[test]
pub(crate) fn reads_of_one_request_travel_together() {
    let mut cluster = Cluster::new(3);
    let keys: Vec<Key> = (0..10).map(|number| key(&format!("key {number}"))).collect();
    get_many(&mut cluster, NodeId(1), keys);
    let reads = |body: &RequestBody| matches!(body, RequestBody::Read(_));
    assert!(sent(&cluster, reads) <= 10, "{}", sent(&cluster, reads));
}

/// Limits under which three records of 20,000 bytes do not fit one answer.
fn tight() -> Limits {
    Limits {
        value_bytes_max: 20_000,
        record_bytes_max: 22_048,
        frame_bytes_max: 4 * 22_048,
        ..Limits::default()
    }
}

#[test]
pub(crate) fn records_beyond_the_frame_are_refused_one_by_one() {
    let mut cluster = Cluster::with(3, tight(), &[]);
    let keys: Vec<Key> = (0..5).map(|number| key(&format!("key {number}"))).collect();
    for key in &keys {
        cluster.put(NodeId(1), blind(key, &"x".repeat(20_000)));
    }
    let item = |key: &Key| ReadItem {
        bucket: BucketId::DEFAULT,
        key: key.clone(),
        unless: None,
        stand_in: false,
        repairs: false,
    };
    let answers = cluster.read_as_peer(NodeId(2), NodeId(1), keys.iter().map(item).collect());
    let records = answers.iter().take_while(|answer| matches!(answer, ReadAnswer::Record(..))).count();
    assert!((1..5).contains(&records), "{records}");
    assert!(answers[records..].iter().all(|answer| *answer == ReadAnswer::Refused(ErrorKind::FrameTooLarge)));
    let alone = cluster.read_as_peer(NodeId(2), NodeId(1), vec![item(&keys[4])]);
    assert!(matches!(alone[0], ReadAnswer::Record(..)));
}

#[test]
pub(crate) fn records_beyond_the_frame_are_asked_for_again_alone() {
    let mut cluster = Cluster::with(5, tight(), &[]);
    // Keys that node 1 does not own, so that it has no digest to compare with.
    let keys = (0..100).map(|number| key(&format!("key {number}")));
    let keys: Vec<Key> = keys.filter(|key| !cluster.owners(key).contains(&NodeId(1))).take(12).collect();
    for key in &keys {
        let owner = cluster.owners(key)[0];
        cluster.put(owner, blind(key, &"x".repeat(20_000)));
    }
    cluster.sent.clear();
    let found = get_many(&mut cluster, NodeId(1), keys);
    assert!(found.iter().all(|values| values.as_ref().unwrap()[0].len() == 20_000), "every key was found");
    let alone = |body: &RequestBody| matches!(body, RequestBody::Read(items) if items.len() == 1);
    assert!(sent(&cluster, alone) > 0, "some were asked for again");
    assert!(cluster.stats(NodeId(1)).repairs == 0);
}

#[test]
pub(crate) fn operations_beyond_the_bound_are_refused_and_the_others_go_on() {
    let mut cluster = Cluster::with(3, Limits { operations_max: 2, ..Limits::default() }, &[]);
    let key = cluster.key_of(NodeId(1));
    cluster.stop(NodeId(1), Part::Reader);
    cluster.stop(NodeId(1), Part::Writer);
    let get = RequestBody::Get(Get::new("default", key.clone()));
    let waiting =
        [cluster.start(NodeId(1), get.clone()), cluster.start(NodeId(1), RequestBody::Put(blind(&key, "v")))];
    assert_eq!(cluster.waiting(), 2);
    let error = cluster.try_get(NodeId(1), Get::new("default", key.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.is_retryable());
    assert_eq!(not_applied(cluster.try_put(NodeId(1), blind(&key, "w"))), ErrorKind::Overloaded);
    assert_eq!(cluster.stats(NodeId(1)).shed, 2);
    cluster.go_on();
    assert!(waiting.iter().all(|client| cluster.told(*client).is_some()));
    assert_eq!(cluster.waiting(), 0);
    assert_eq!(cluster.values(NodeId(1), &key), ["v"]);
}

#[test]
fn what_is_removed_belongs_to_no_bucket() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "v").with_w(Quorum::All));
    let bucket = |id: u32| id.to_be_bytes().to_vec()..(id + 1).to_be_bytes().to_vec();
    let mut batch = Batch::new();
    batch.put(&[0, 0, 0, 9, 1], &[b"left"]);
    cluster.nodes[&NodeId(1)].store.write(&batch, Durability::Synced).unwrap();
    for id in [BucketId::DEFAULT.0, 9] {
        cluster.remove(NodeId(1), bucket(id));
    }
    assert!(
        cluster.held(NodeId(1), &key).unwrap().is_some(),
        "its bucket is there, whoever thought otherwise"
    );
    assert!(!cluster.nodes[&NodeId(1)].store.get(&[0, 0, 0, 9, 1], &mut Vec::new()).unwrap());
}
