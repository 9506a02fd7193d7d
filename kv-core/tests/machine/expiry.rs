use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Attempt, Content, Expires, Get, GetMany, Put, PutResult, ReadOptions, Replace, Scan};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::limits::{EXPIRY_MS_MAX, Limits};
use kv_core::record::WriteId;
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, key, texts};
use crate::puts::{blind, not_applied};

const FIRST: NodeId = NodeId(1);
const SECOND: NodeId = NodeId(2);
const THIRD: NodeId = NodeId(3);

/// A put of `value` under the key `k` of `bucket` that expires then.
fn put(bucket: &str, value: &str, expires: Expires) -> Put {
    Put::new(bucket, key("k"), value.to_string()).expiring(expires)
}

/// The values of `k` that a get at `node` shows, and when they expire.
fn shown(cluster: &mut Cluster, node: NodeId, bucket: &str) -> Vec<(String, Option<u64>)> {
    let answer = cluster.get(node, Get::new(bucket, key("k")));
    let values = answer
        .values
        .iter()
        .map(|sibling| (String::from_utf8(sibling.value.to_vec()).unwrap(), sibling.expires_at_ms));
    values.collect()
}

fn set_clock(cluster: &mut Cluster, node: NodeId, offset_ms: i64) {
    cluster.nodes.get_mut(&node).unwrap().wall_offset_ms = offset_ms;
}

#[test]
pub(crate) fn a_value_is_there_until_it_expires_and_then_for_nobody() {
    for bucket in ["default", "redis"] {
        let mut cluster = Cluster::new(5);
        let at_ms = cluster.now(FIRST).wall_ms + 1_000;
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            cluster.put(node, put(bucket, "v", Expires::AfterMs(1_000)));
            assert_eq!(shown(&mut cluster, node, bucket), [("v".to_string(), Some(at_ms))], "by {node}");
        }
        cluster.advance(999);
        assert_eq!(shown(&mut cluster, SECOND, bucket).len(), 1);
        cluster.advance(1);
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            assert_eq!(shown(&mut cluster, node, bucket), []);
            let one = Get::new(bucket, key("k")).with_r(Quorum::One);
            assert!(cluster.get(node, one).values.is_empty(), "one replica is enough for {node}");
            let options = ReadOptions::default();
            let many = GetMany { bucket: bucket.into(), keys: vec![key("k")], options };
            let AnswerBody::GetMany(answers) = cluster.ask(node, RequestBody::GetMany(many)) else {
                panic!()
            };
            assert!(answers[0].as_ref().unwrap().values.is_empty());
            for scan in [Scan::new(bucket), Scan::new(bucket).with_values()] {
                let AnswerBody::Scan(Ok(page)) = cluster.ask(node, RequestBody::Scan(scan)) else { panic!() };
                assert_eq!(page.entries, []);
            }
        }
    }
}

#[test]
pub(crate) fn scans_show_what_has_not_expired_with_its_expiry() {
    let mut cluster = Cluster::new(3);
    let at_ms = cluster.now(FIRST).wall_ms + 1_000;
    cluster.put(FIRST, put("default", "v", Expires::AtMs(at_ms)));
    let AnswerBody::Scan(Ok(keys)) = cluster.ask(SECOND, RequestBody::Scan(Scan::new("default"))) else {
        panic!()
    };
    assert_eq!(keys.entries.len(), 1);
    let values = Scan::new("default").with_values();
    let AnswerBody::Scan(Ok(page)) = cluster.ask(SECOND, RequestBody::Scan(values)) else { panic!() };
    assert_eq!(page.entries[0].values[0].expires_at_ms, Some(at_ms));
}

#[test]
pub(crate) fn the_clock_of_whoever_coordinates_decides() {
    let mut cluster = Cluster::new(3);
    cluster.put(FIRST, put("default", "v", Expires::AfterMs(10_000)));
    set_clock(&mut cluster, SECOND, 20_000);
    set_clock(&mut cluster, THIRD, -20_000);
    assert_eq!(shown(&mut cluster, FIRST, "default").len(), 1);
    assert_eq!(shown(&mut cluster, SECOND, "default"), []);
    cluster.advance(15_000);
    assert_eq!(shown(&mut cluster, FIRST, "default"), []);
    assert_eq!(shown(&mut cluster, THIRD, "default").len(), 1, "replicas judge nothing");
    // The moment is computed once: an owner that the put is handed to does not compute it anew.
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners(&key("k"));
    let outside = cluster.others(&key("k"))[0];
    for owner in &owners {
        set_clock(&mut cluster, *owner, 30_000);
    }
    let at_ms = cluster.now(outside).wall_ms + 50_000;
    cluster.put(outside, put("redis", "v", Expires::AfterMs(50_000)));
    assert_eq!(shown(&mut cluster, outside, "redis"), [("v".to_string(), Some(at_ms))]);
}

#[test]
pub(crate) fn the_winner_is_chosen_before_its_expiry_is_judged() {
    let mut cluster = Cluster::new(3);
    cluster.put(FIRST, put("redis", "older", Expires::Never).with_w(Quorum::All));
    // The third node misses the newer value.
    cluster.isolate(THIRD, Link::Refused);
    cluster.put(FIRST, put("redis", "newer", Expires::AfterMs(1_000)));
    cluster.isolate(THIRD, Link::Up);
    cluster.advance(1_000);
    for node in [THIRD, FIRST, SECOND] {
        let all = Get::new("redis", key("k")).with_r(Quorum::All);
        assert!(cluster.get(node, all).values.is_empty(), "at {node}");
    }
}

#[test]
pub(crate) fn an_expired_version_is_as_good_as_a_tombstone() {
    let mut cluster = Cluster::new(3);
    let expired = cluster.put(FIRST, put("default", "v", Expires::AfterMs(10)));
    cluster.advance(10);
    let read = cluster.get(SECOND, Get::new("default", key("k")));
    assert!(read.values.is_empty());
    assert!(cluster.open(&read.context, &key("k")).contains(expired.dot.unwrap()), "it is in the context");
    // There is nothing to delete.
    let puts = cluster.record_puts();
    assert_eq!(cluster.put(SECOND, Put::delete("default", key("k"))).dot, None);
    assert_eq!(cluster.record_puts(), puts);
    // What is put with the context replaces it.
    cluster.put(SECOND, Put::new("default", key("k"), "w").with_context(read.context));
    assert_eq!(cluster.held(FIRST, &key("k")).unwrap().unwrap().versions().len(), 1);
    assert_eq!(cluster.values(THIRD, &key("k")), ["w"]);
}

#[test]
pub(crate) fn of_siblings_those_are_shown_that_have_not_expired() {
    let mut cluster = Cluster::new(3);
    let beside = |value, expires| Put { replace: Replace::Nothing, ..put("default", value, expires) };
    cluster.put(FIRST, beside("a", Expires::AfterMs(10)));
    cluster.put(SECOND, beside("b", Expires::Never));
    assert_eq!(cluster.values(THIRD, &key("k")), ["a", "b"]);
    cluster.advance(10);
    assert_eq!(cluster.values(THIRD, &key("k")), ["b"]);
}

#[test]
pub(crate) fn a_bucket_says_when_values_expire_unless_the_put_does() {
    let brief = BucketProperties { expiry_ms: Some(500), ..BucketProperties::default() };
    let mut cluster = Cluster::with(3, Limits::default(), &[("brief", brief)]);
    let now_ms = cluster.now(FIRST).wall_ms;
    for (expires, at_ms) in [
        (Expires::ByBucket, Some(now_ms + 500)),
        (Expires::Never, None),
        (Expires::AfterMs(7), Some(now_ms + 7)),
        (Expires::AtMs(now_ms + 9), Some(now_ms + 9)),
        (Expires::Keep, Some(now_ms + 9)),
    ] {
        cluster.put(FIRST, put("brief", "v", expires));
        assert_eq!(shown(&mut cluster, SECOND, "brief"), [("v".to_string(), at_ms)], "{expires:?}");
    }
}

#[test]
pub(crate) fn an_overwrite_can_keep_the_expiry_of_what_it_replaces() {
    for bucket in ["default", "redis"] {
        let mut cluster = Cluster::new(5);
        cluster.put(FIRST, put(bucket, "none", Expires::Keep));
        assert_eq!(shown(&mut cluster, SECOND, bucket), [("none".to_string(), None)]);
        let at_ms = cluster.now(FIRST).wall_ms + 1_000;
        cluster.put(FIRST, put(bucket, "a", Expires::AtMs(at_ms)));
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            cluster.put(node, put(bucket, "b", Expires::Keep));
            assert_eq!(shown(&mut cluster, SECOND, bucket), [("b".to_string(), Some(at_ms))], "by {node}");
        }
        cluster.advance(1_000);
        cluster.put(FIRST, put(bucket, "c", Expires::Keep));
        assert_eq!(shown(&mut cluster, SECOND, bucket), [("c".to_string(), None)], "nothing was there");
    }
}

#[test]
pub(crate) fn an_expiry_is_changed_without_the_value() {
    for bucket in ["default", "redis"] {
        let mut cluster = Cluster::new(5);
        for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
            cluster.put(FIRST, put(bucket, "v", Expires::Never));
            let at_ms = cluster.now(FIRST).wall_ms + 500;
            let expire = Put::expire(bucket, key("k"), Expires::AfterMs(500));
            assert!(cluster.put(node, expire).dot.is_some());
            assert_eq!(shown(&mut cluster, SECOND, bucket), [("v".to_string(), Some(at_ms))], "by {node}");
            let persist = Put::expire(bucket, key("k"), Expires::Never);
            cluster.put(node, persist);
            assert_eq!(shown(&mut cluster, SECOND, bucket), [("v".to_string(), None)], "by {node}");
            let past = Put::expire(bucket, key("k"), Expires::AtMs(1));
            cluster.put(node, past);
            set_clock(&mut cluster, SECOND, -40_000);
            assert_eq!(shown(&mut cluster, SECOND, bucket), [], "what has passed has passed for every clock");
            set_clock(&mut cluster, SECOND, 0);
        }
    }
}

#[test]
pub(crate) fn an_expiry_of_nothing_is_not_changed() {
    for bucket in ["default", "redis"] {
        let mut cluster = Cluster::new(3);
        let expire = || Put::expire(bucket, key("k"), Expires::AfterMs(500));
        assert_eq!(cluster.put(FIRST, expire()).dot, None);
        cluster.put(FIRST, put(bucket, "v", Expires::AfterMs(10)));
        cluster.advance(10);
        let puts = cluster.record_puts();
        assert_eq!(cluster.put(SECOND, expire()).dot, None, "it has expired");
        cluster.put(SECOND, Put { replace: Replace::Overwrite, ..Put::delete(bucket, key("k")) });
        assert_eq!(cluster.put(SECOND, expire()).dot, None, "it was deleted");
        assert!(bucket == "redis" || cluster.record_puts() == puts);
    }
}

#[test]
pub(crate) fn a_change_of_an_expiry_loses_to_a_value_that_it_did_not_see() {
    let mut cluster = Cluster::new(3);
    cluster.put(FIRST, put("redis", "old", Expires::Never).with_w(Quorum::All));
    // The third is cut off and alone sets a new value; then the others, whose clocks are ahead, change the expiry of the old one.
    cluster.isolate(THIRD, Link::Refused);
    cluster.put(THIRD, put("redis", "new", Expires::Never).with_w(Quorum::One));
    cluster.advance(100);
    set_clock(&mut cluster, FIRST, 5_000);
    cluster.put(FIRST, Put::expire("redis", key("k"), Expires::AfterMs(100_000)));
    cluster.isolate(THIRD, Link::Up);
    for node in [FIRST, SECOND, THIRD] {
        let all = Get::new("redis", key("k")).with_r(Quorum::All);
        assert_eq!(texts(&cluster.get(node, all).values), ["new"], "at {node}");
    }
    // Of two changes of one value the later stays.
    let mut cluster = Cluster::new(3);
    cluster.put(FIRST, put("redis", "v", Expires::Never).with_w(Quorum::All));
    let at_ms = cluster.now(FIRST).wall_ms;
    for (node, after_ms) in [(FIRST, 9_000), (SECOND, 7_000)] {
        cluster.isolate(THIRD, Link::Refused);
        let other = if node == FIRST { SECOND } else { FIRST };
        cluster.isolate(other, Link::Refused);
        let mut expire = Put::expire("redis", key("k"), Expires::AtMs(at_ms + after_ms));
        (expire.options.w, expire.options.r) = (Some(Quorum::One), Some(Quorum::One));
        cluster.put(node, expire);
        cluster.isolate(other, Link::Up);
        cluster.advance(10);
    }
    cluster.isolate(THIRD, Link::Up);
    let all = Get::new("redis", key("k")).with_r(Quorum::All);
    assert_eq!(cluster.get(THIRD, all).values[0].expires_at_ms, Some(at_ms + 7_000));
}

#[test]
pub(crate) fn siblings_are_resolved_before_an_expiry_is_changed_or_kept() {
    let mut cluster = Cluster::new(3);
    cluster.put(FIRST, blind(&key("k"), "a"));
    cluster.put(SECOND, blind(&key("k"), "b"));
    for refused in [Put::expire("default", key("k"), Expires::Never), put("default", "c", Expires::Keep)] {
        assert_eq!(not_applied(cluster.try_put(THIRD, refused)), ErrorKind::TooManySiblings);
    }
    // A tombstone beside a value is no sibling that anybody sees, and stays.
    let read = cluster.get(FIRST, Get::new("default", key("k")));
    cluster.put(FIRST, Put::new("default", key("k"), "c").with_context(read.context.clone()));
    cluster.put(SECOND, Put::delete("default", key("k")).with_context(read.context));
    let changed = cluster.put(THIRD, Put::expire("default", key("k"), Expires::AfterMs(50)));
    assert!(changed.dot.is_some());
    let held = cluster.held(FIRST, &key("k")).unwrap().unwrap();
    assert_eq!(held.versions().len(), 2);
    cluster.advance(50);
    assert_eq!(cluster.values(FIRST, &key("k")), [""; 0]);
}

#[test]
pub(crate) fn expiries_that_cannot_be_are_refused() {
    let mut cluster = Cluster::new(3);
    let context = cluster.put(FIRST, blind(&key("k"), "v")).context;
    let replacing = |put: Put, replace: Replace| Put { replace, ..put };
    let same = || Put::expire("default", key("k"), Expires::AfterMs(1));
    let with_id = |put: Put| put.with_id(WriteId([1; 16]));
    for refused in [
        put("default", "v", Expires::AfterMs(u64::MAX)),
        put("default", "v", Expires::AfterMs(EXPIRY_MS_MAX)),
        put("default", "v", Expires::AtMs(EXPIRY_MS_MAX + 1)),
        put("default", "v", Expires::AtMs(u64::MAX)),
        replacing(put("default", "v", Expires::Keep), Replace::Nothing),
        replacing(put("default", "v", Expires::Keep), Replace::Context(context.clone())),
        replacing(same(), Replace::Nothing),
        replacing(same(), Replace::Context(context)),
        Put::expire("default", key("k"), Expires::Keep),
        with_id(same()),
    ] {
        let result = cluster.try_put(FIRST, refused.clone());
        assert_eq!(not_applied(result), ErrorKind::InvalidPut, "{refused:?}");
    }
    let last = put("default", "v", Expires::AtMs(EXPIRY_MS_MAX));
    assert!(matches!(cluster.try_put(FIRST, last), PutResult::Applied(_)));
    assert_eq!(with_id(Put::delete("default", key("k"))).options.attempt, Attempt::First(WriteId([1; 16])));
    assert_eq!(same().expiring(Expires::Never).content, Content::Same(Expires::Never));
}

#[test]
pub(crate) fn stand_ins_keep_and_hand_on_expiries() {
    let mut cluster = Cluster::sloppy(5, Limits::default());
    let owners = cluster.owners(&key("k"));
    cluster.isolate(owners[1], Link::Refused);
    cluster.isolate(owners[2], Link::Refused);
    let at_ms = cluster.now(owners[0]).wall_ms + 60_000;
    cluster.put(owners[0], put("default", "v", Expires::AtMs(at_ms)));
    let change = Put::expire("default", key("k"), Expires::AtMs(at_ms + 5));
    assert!(cluster.put(owners[0], change).dot.is_some());
    assert_eq!(shown(&mut cluster, owners[0], "default"), [("v".to_string(), Some(at_ms + 5))]);
    cluster.isolate(owners[1], Link::Up);
    cluster.isolate(owners[2], Link::Up);
    for _ in 0..4 {
        cluster.advance(1_000);
    }
    let strict = Get::new("default", key("k")).with_r(Quorum::All);
    assert_eq!(cluster.get(owners[2], strict).values[0].expires_at_ms, Some(at_ms + 5));
}
