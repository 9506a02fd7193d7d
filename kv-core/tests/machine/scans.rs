use std::collections::BTreeMap;

use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put, Scan, ScanAnswer};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{NodeId, Token};
use kv_core::wire::{AnswerBody, RequestBody};

use crate::cluster::{Cluster, Link, key, texts};

fn try_scan(cluster: &mut Cluster, node: NodeId, scan: Scan) -> Result<ScanAnswer, Error> {
    match cluster.ask(node, RequestBody::Scan(scan)) {
        AnswerBody::Scan(result) => result,
        other => panic!("not the answer to a scan: {other:?}"),
    }
}

/// All pages of a scan: each key with its values, and how many pages there were.
fn all(cluster: &mut Cluster, node: NodeId, mut scan: Scan) -> (BTreeMap<String, Vec<String>>, usize) {
    let mut found = BTreeMap::new();
    for pages in 1.. {
        let page = try_scan(cluster, node, scan.clone()).unwrap();
        assert!(page.entries.len() <= scan.limit as usize, "more keys than were asked for");
        for entry in page.entries {
            let name = String::from_utf8(entry.key.as_bytes().to_vec()).unwrap();
            assert!(found.insert(name, texts(&entry.values)).is_none(), "a key is shown twice");
        }
        match page.next {
            Some(next) => scan.from = next,
            None => return (found, pages),
        }
    }
    unreachable!()
}

fn filled(members: u64, keys: usize) -> (Cluster, BTreeMap<String, Vec<String>>) {
    let mut cluster = Cluster::new(members);
    let mut expected = BTreeMap::new();
    for number in 0..keys {
        let name = format!("key {number}");
        cluster.put(NodeId(1), Put::new("default", key(&name), format!("value {number}")));
        expected.insert(name, vec![format!("value {number}")]);
    }
    (cluster, expected)
}

#[test]
pub(crate) fn pages_together_show_every_key_once_whatever_their_size_and_whoever_is_asked() {
    let (mut cluster, expected) = filled(5, 60);
    for (node, limit) in [(1, 1), (2, 7), (3, 60), (4, 1_000)] {
        let scan = Scan::new("default").with_limit(limit).with_values();
        assert_eq!(all(&mut cluster, NodeId(node), scan).0, expected);
        let names = all(&mut cluster, NodeId(node), Scan::new("default").with_limit(limit)).0;
        assert_eq!(names.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(names.values().all(Vec::is_empty), "values that nobody asked for");
    }
}

#[test]
pub(crate) fn a_scan_of_replicas_that_agree_reads_no_key_again_and_repairs_nothing() {
    let (mut cluster, expected) = filled(3, 50);
    cluster.sent.clear();
    let (found, pages) = all(&mut cluster, NodeId(2), Scan::new("default").with_values());
    assert_eq!((found, pages), (expected, 1));
    assert_eq!(cluster.sent.len(), 1, "one other owner is asked, once");
    assert!(matches!(cluster.sent[0].2, RequestBody::ReadRange(_)));
    assert_eq!(cluster.stats(NodeId(2)).repairs, 0);
    assert_eq!(cluster.stats(NodeId(2)).scans_answered, 1);
}

#[test]
pub(crate) fn replicas_that_have_different_keys_are_paged_through_together() {
    let mut cluster = Cluster::new(3);
    let mut expected = BTreeMap::new();
    for number in 0..40 {
        // A few keys are missing on the one, most keys on the other.
        let away = if number % 10 == 0 { NodeId(2) } else { NodeId(3) };
        cluster.isolate(away, Link::Refused);
        let name = format!("key {number}");
        cluster.put(NodeId(1), Put::new("default", key(&name), "v"));
        cluster.isolate(away, Link::Up);
        expected.insert(name, vec!["v".to_string()]);
    }
    cluster.isolate(NodeId(1), Link::Refused);
    let scan = Scan::new("default").with_limit(4).with_values();
    assert_eq!(all(&mut cluster, NodeId(2), scan).0, expected);
}

#[test]
pub(crate) fn what_replicas_do_not_agree_on_is_read_as_a_get_would() {
    let (mut cluster, mut expected) = filled(3, 9);
    cluster.isolate(NodeId(3), Link::Refused);
    let seen = cluster.get(NodeId(1), Get::new("default", key("key 1")));
    cluster.put(NodeId(1), Put::new("default", key("key 1"), "newer").with_context(seen.context));
    cluster.put(NodeId(1), Put::delete("default", key("key 2")));
    cluster.put(NodeId(1), Put::new("default", key("key 9"), "late"));
    cluster.isolate(NodeId(3), Link::Up);
    expected.insert("key 1".into(), vec!["newer".into()]);
    expected.insert("key 9".into(), vec!["late".into()]);
    expected.remove("key 2");
    cluster.isolate(NodeId(2), Link::Refused);
    let (names, _) = all(&mut cluster, NodeId(3), Scan::new("default"));
    assert_eq!(names.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    cluster.isolate(NodeId(2), Link::Up);
    cluster.damage(NodeId(3), &key("key 3"));
    assert_eq!(all(&mut cluster, NodeId(3), Scan::new("default").with_values()).0, expected);
    for name in ["key 1", "key 2", "key 9"] {
        let (one, other) = (cluster.held(NodeId(3), &key(name)), cluster.held(NodeId(1), &key(name)));
        assert_eq!(one, other, "what was read is repaired");
    }
}

#[test]
pub(crate) fn deleted_keys_are_not_shown_and_siblings_are_shown_together() {
    let (mut cluster, mut expected) = filled(3, 5);
    cluster.put(NodeId(2), Put::delete("default", key("key 0")));
    cluster.put(NodeId(2), crate::puts::blind(&key("key 4"), "beside"));
    expected.remove("key 0");
    expected.insert("key 4".into(), vec!["beside".into(), "value 4".into()]);
    assert_eq!(all(&mut cluster, NodeId(1), Scan::new("default").with_values().with_limit(2)).0, expected);
    assert_eq!(all(&mut cluster, NodeId(1), Scan::new("default")).0.len(), expected.len());
}

#[test]
pub(crate) fn a_context_of_a_scan_is_as_good_as_that_of_a_get() {
    let (mut cluster, _) = filled(3, 1);
    let page = try_scan(&mut cluster, NodeId(1), Scan::new("default").with_values()).unwrap();
    let put = Put::new("default", key("key 0"), "next").with_context(page.entries[0].context.clone());
    cluster.put(NodeId(2), put);
    assert_eq!(cluster.values(NodeId(3), &key("key 0")), ["next"]);
}

#[test]
pub(crate) fn prefixes_and_ranges_of_tokens_choose_keys() {
    let (mut cluster, expected) = filled(5, 40);
    let of_prefix: Vec<_> = expected.keys().filter(|name| name.starts_with("key 1")).collect();
    let scan = Scan::new("default").with_prefix("key 1").with_limit(3);
    let found = all(&mut cluster, NodeId(1), scan).0;
    assert_eq!(found.keys().collect::<Vec<_>>(), of_prefix);
    let half = |from: u64, last: u64| Scan {
        from: kv_core::command::ScanPosition::at(Token(from)),
        last: Token(last),
        ..Scan::new("default").with_values().with_limit(5)
    };
    let mut both = all(&mut cluster, NodeId(1), half(0, (1 << 63) - 1)).0;
    let upper = all(&mut cluster, NodeId(1), half(1 << 63, u64::MAX)).0;
    assert!(!both.is_empty() && !upper.is_empty());
    both.extend(upper);
    assert_eq!(both, expected);
}

#[test]
pub(crate) fn an_owner_that_fails_is_replaced_by_another() {
    let (mut cluster, expected) = filled(3, 10);
    all(&mut cluster, NodeId(1), Scan::new("default"));
    let asked = cluster.sent.last().unwrap().1;
    cluster.link(NodeId(1), asked, Link::Refused);
    assert_eq!(all(&mut cluster, NodeId(1), Scan::new("default").with_values()).0, expected);
    cluster.link(NodeId(1), asked, Link::Silent);
    let client = cluster.start(NodeId(1), RequestBody::Scan(Scan::new("default")));
    assert!(cluster.told(client).is_none());
    cluster.advance(30);
    assert!(matches!(cluster.told(client), Some(AnswerBody::Scan(Ok(page))) if page.entries.len() == 10));
}

#[test]
pub(crate) fn too_few_owners_are_an_error_that_names_them() {
    let (mut cluster, _) = filled(3, 3);
    cluster.isolate(NodeId(1), Link::Refused);
    let error = try_scan(&mut cluster, NodeId(1), Scan::new("default")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let quorum = error.quorum().unwrap();
    assert_eq!((quorum.needed, quorum.got, quorum.causes.len()), (2, 1, 2));
    cluster.isolate(NodeId(1), Link::Silent);
    let client = cluster.start(NodeId(1), RequestBody::Scan(Scan::new("default")));
    cluster.advance(2_000);
    let Some(AnswerBody::Scan(Err(error))) = cluster.told(client) else { panic!("no answer") };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!((cluster.waiting(), cluster.stats(NodeId(1)).scans_failed), (0, 2));
}

#[test]
pub(crate) fn what_cannot_be_is_refused_at_the_door() {
    let mut cluster = Cluster::new(3);
    let r = Scan { r: Some(Quorum::Count(4)), ..Scan::new("default") };
    let long = Scan::new("default").with_prefix(vec![b'x'; 2_000]);
    let cases = [
        (r, ErrorKind::InvalidConsistency),
        (long, ErrorKind::InvalidKey),
        (Scan::new("nowhere"), ErrorKind::UnknownBucket),
    ];
    for (scan, kind) in cases {
        assert_eq!(try_scan(&mut cluster, NodeId(1), scan).unwrap_err().kind(), kind);
    }
    let empty = Scan { last: Token(0), ..Scan::new("default").with_limit(0) };
    let from = kv_core::command::ScanPosition::at(Token(9));
    assert_eq!(try_scan(&mut cluster, NodeId(1), empty.starting_at(from)).unwrap(), ScanAnswer::default());
}
