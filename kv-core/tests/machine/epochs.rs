use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, Epoch, NodeId};
use kv_core::key::Key;
use kv_core::record::{Provenance, Sinces};
use kv_core::replica::Meeting;
use kv_core::tree::{LeafId, TreeId};
use kv_core::wire::{
    AnswerBody, ClearItem, ReadAnswer, ReadItem, RequestBody, Standing, WriteAnswer, WriteItem,
};

use crate::cluster::{Cluster, Link, texts};
use crate::exchanges::exchange;
use crate::puts::blind;

fn tree(cluster: &Cluster, key: &Key) -> TreeId {
    let view = &cluster.nodes[&NodeId(1)].view;
    LeafId::of(BucketId::DEFAULT, view.token(key), view.layout.partitioning()).tree
}

fn epoch(cluster: &Cluster, node: NodeId, key: &Key) -> Epoch {
    cluster.epochs(node).epoch(tree(cluster, key))
}

/// Lets every node exchange with every other, and go to its next epoch where it may.
fn round(cluster: &mut Cluster) {
    for node in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        exchange(cluster, node);
        cluster.advance(20);
    }
}

/// Three owners of a key that was put and deleted everywhere.
fn deleted() -> (Cluster, Key) {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.put(NodeId(1), Put::delete("default", key.clone()).with_w(Quorum::All));
    (cluster, key)
}

/// What a peer that read it in `read` sends to a node, and what that says.
fn send(cluster: &mut Cluster, to: NodeId, key: &Key, read: Epoch, record: bytes::Bytes) -> WriteAnswer {
    let read = Provenance { epoch: read, ..Provenance::default() };
    let (bucket, key) = (BucketId::DEFAULT, key.clone());
    let item = WriteItem { bucket, read, key, record, heal: None, stand_in_for: None };
    match cluster.ask_as_peer(to, NodeId(2), RequestBody::Write(vec![item])) {
        AnswerBody::Write(answers) => answers[0],
        other => panic!("{other:?}"),
    }
}

/// What a node has of a key, as a peer is sent it.
fn record_of(cluster: &mut Cluster, node: NodeId, key: &Key) -> bytes::Bytes {
    let (bucket, key) = (BucketId::DEFAULT, key.clone());
    let item = ReadItem { bucket, key, unless: None, stand_in: false, repairs: false };
    match cluster.read_as_peer(node, NodeId(2), vec![item]).remove(0) {
        ReadAnswer::Record(_, record) => record,
        other => panic!("{other:?}"),
    }
}

#[test]
pub(crate) fn what_is_deleted_leaves_the_stores_after_a_few_epochs() {
    let (mut cluster, key) = deleted();
    let since = epoch(&cluster, NodeId(1), &key);
    for _ in 0..24 {
        round(&mut cluster);
        let gone = |node: &NodeId| cluster.held(*node, &key) == Ok(None);
        if cluster.nodes.keys().all(gone) {
            assert!(epoch(&cluster, NodeId(1), &key) >= since.plus(4), "not before");
            assert_eq!(cluster.epochs(NodeId(1)).figures(&cluster.nodes[&NodeId(1)].view).ageing, 0);
            return;
        }
    }
    panic!("{:?}", cluster.nodes.keys().map(|node| epoch(&cluster, *node, &key)).collect::<Vec<_>>());
}

#[test]
pub(crate) fn where_nothing_is_deleted_epochs_stay() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    for _ in 0..4 {
        round(&mut cluster);
    }
    assert_eq!(epoch(&cluster, NodeId(1), &key), Epoch::FIRST);
}

/// The most bytes that a key takes which is written after each of 1,000 restarts, while each part of them.
fn bytes_of_a_key_after_restarts(next: impl Fn(&mut Cluster, NodeId, Put) -> Put) -> Vec<usize> {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    let mut most = vec![0; 10];
    for restart in 0..1_000 {
        let node = NodeId(1 + restart % 3);
        cluster.restart(node);
        let put = next(&mut cluster, node, Put::new("default", key.clone(), "v"));
        cluster.put(node, put.with_w(Quorum::All));
        if restart % 12 == 0 {
            // Each restart makes a node begin anew to meet the others.
            (0..4).for_each(|_| round(&mut cluster));
        }
        let part = &mut most[restart as usize / 100];
        *part = record_of(&mut cluster, node, &key).len().max(*part);
    }
    most
}

#[test]
fn a_thousand_restarts_leave_a_key_that_is_overwritten_small() {
    let most = bytes_of_a_key_after_restarts(|_, _, put| put);
    assert!(most.iter().all(|bytes| *bytes < 1_000), "{most:?}: 1,000 actors would take 11,000 bytes");
}

#[test]
fn a_thousand_restarts_leave_a_key_small_that_is_put_with_what_any_one_replica_shows() {
    let most = bytes_of_a_key_after_restarts(|cluster, node, put| {
        let other = NodeId(1 + node.0 % 3);
        let seen = cluster.get(other, Get::new("default", put.key.clone()).with_r(Quorum::Count(1)));
        if seen.values.is_empty() { put } else { put.with_context(seen.context) }
    });
    assert!(most.iter().all(|bytes| *bytes < 1_000), "{most:?}: 1,000 actors would take 11,000 bytes");
}

#[test]
pub(crate) fn while_an_owner_is_away_the_tombstone_stays() {
    let (mut cluster, key) = deleted();
    cluster.isolate(NodeId(3), Link::Refused);
    for _ in 0..8 {
        round(&mut cluster);
    }
    assert!(cluster.held(NodeId(1), &key).unwrap().is_some());
    assert!(epoch(&cluster, NodeId(1), &key) <= Epoch::FIRST.plus(1));
}

#[test]
pub(crate) fn what_was_read_long_ago_is_refused() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    let old = record_of(&mut cluster, NodeId(1), &key);
    let then = epoch(&cluster, NodeId(1), &key);
    cluster.put(NodeId(1), Put::delete("default", key.clone()).with_w(Quorum::All));
    for _ in 0..24 {
        round(&mut cluster);
    }
    assert_eq!(cluster.held(NodeId(1), &key), Ok(None));
    let answer = send(&mut cluster, NodeId(1), &key, then, old);
    assert_eq!(answer, WriteAnswer::Refused(ErrorKind::StaleEpoch));
    assert!(cluster.values(NodeId(1), &key).is_empty());
}

#[test]
pub(crate) fn a_replica_that_is_far_behind_is_emptied_and_does_not_vote_until_it_has_met_the_others() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    let theirs = Standing { epoch: Epoch(9), is_complete: true, ..Standing::default() };
    let tree = tree(&cluster, &key);
    for node in [2, 3].map(NodeId) {
        // As if these two had gone on without it: it was restored from an old copy.
        cluster.set_epoch(node, tree, Epoch(9));
    }
    cluster.epochs(NodeId(1)).heard(tree, theirs);
    cluster.turn(NodeId(1));
    assert_eq!((cluster.held(NodeId(1), &key), epoch(&cluster, NodeId(1), &key)), (Ok(None), Epoch(9)));
    let get = Get::new("default", key.clone()).with_r(Quorum::All);
    assert!(cluster.try_get(NodeId(2), get.clone()).is_err(), "it does not vote");
    assert_eq!(texts(&cluster.get(NodeId(2), Get::new("default", key.clone())).values), ["v"]);
    exchange(&mut cluster, NodeId(1));
    assert_eq!(texts(&cluster.get(NodeId(2), get).values), ["v"], "it has what the others have");
    assert!(!cluster.epochs(NodeId(1)).is_recovering(tree));
}

#[test]
fn what_is_found_damaged_in_a_lost_store_comes_back_with_the_rest() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.lose(NodeId(1));
    let tree = tree(&cluster, &key);
    assert!(cluster.epochs(NodeId(1)).is_recovering(tree));
    // It takes a write before it has met anybody, and loses it.
    cluster.put(NodeId(2), blind(&key, "w").with_w(Quorum::All));
    cluster.damage(NodeId(1), &key);
    cluster.put(NodeId(2), blind(&key, "x").with_w(Quorum::All));
    assert!(cluster.epochs(NodeId(1)).is_recovering(tree));
    exchange(&mut cluster, NodeId(1));
    assert!(!cluster.epochs(NodeId(1)).is_recovering(tree), "it has met both");
    let get = Get::new("default", key.clone()).with_r(Quorum::All);
    let mut values = texts(&cluster.get(NodeId(2), get).values);
    values.sort_unstable();
    assert_eq!(values, ["v", "w", "x"]);
}

#[test]
fn an_exchange_counts_for_nothing_if_something_more_was_missing_meanwhile() {
    let mut cluster = Cluster::new(3);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.lose(NodeId(1));
    let tree = tree(&cluster, &key);
    let theirs = Standing { epoch: Epoch::FIRST, is_complete: true, ..Standing::default() };
    let meet = |cluster: &Cluster, begun| {
        for peer in [2, 3].map(NodeId) {
            let meeting = Meeting { tree, peer, begun, theirs };
            cluster.epochs(NodeId(1)).met(&cluster.nodes[&NodeId(1)].view, meeting);
        }
        cluster.epochs(NodeId(1)).is_recovering(tree)
    };
    let before = cluster.epochs(NodeId(1)).begun(tree);
    cluster.put(NodeId(2), blind(&key, "w").with_w(Quorum::All));
    cluster.damage(NodeId(1), &key);
    cluster.put(NodeId(2), blind(&key, "x").with_w(Quorum::All));
    assert!(meet(&cluster, before), "what was damaged is missing since");
    assert!(!meet(&cluster, cluster.epochs(NodeId(1)).begun(tree)));
}

#[test]
pub(crate) fn who_was_asked_takes_no_older_copies() {
    let mut cluster = Cluster::new(5);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), blind(&key, "v"));
    let owner = cluster.owners(&key)[0];
    let record = record_of(&mut cluster, owner, &key);
    let (node, tree) = (cluster.others(&key)[0], tree(&cluster, &key));
    let peer = cluster.owners(&key)[1];
    let item = |read: u64| WriteItem {
        bucket: BucketId::DEFAULT,
        read: Provenance { epoch: Epoch(read), ..Provenance::default() },
        key: key.clone(),
        record: record.clone(),
        heal: None,
        stand_in_for: Some(owner),
    };
    let ask = |cluster: &mut Cluster, epoch: u64| {
        let items = vec![ClearItem { tree, epoch: Epoch(epoch) }];
        match cluster.ask_as_peer(node, peer, RequestBody::Clear(items)) {
            AnswerBody::Cleared(clear) => clear[0],
            other => panic!("{other:?}"),
        }
    };
    let keep = |cluster: &mut Cluster, read: u64| match cluster.ask_as_peer(
        node,
        peer,
        RequestBody::Write(vec![item(read)]),
    ) {
        AnswerBody::Write(answers) => answers[0],
        other => panic!("{other:?}"),
    };
    assert!(matches!(keep(&mut cluster, 1), WriteAnswer::Committed(_)));
    assert!(ask(&mut cluster, 1), "there is nothing older");
    assert!(!ask(&mut cluster, 2), "it keeps a copy that was read before");
    assert_eq!(keep(&mut cluster, 1), WriteAnswer::Refused(ErrorKind::StaleEpoch), "it was asked");
    assert!(matches!(keep(&mut cluster, 2), WriteAnswer::Committed(_)));
    cluster.restart(node);
    assert_eq!(keep(&mut cluster, 1), WriteAnswer::Refused(ErrorKind::StaleEpoch), "it is remembered");
}

#[test]
pub(crate) fn while_a_copy_is_kept_that_cannot_be_delivered_no_second_epoch_begins() {
    let mut cluster = Cluster::new(5);
    let key = cluster.key_of(NodeId(1));
    cluster.put(NodeId(1), Put::new("default", key.clone(), "v").with_w(Quorum::All));
    cluster.put(NodeId(1), Put::delete("default", key.clone()).with_w(Quorum::All));
    let (node, owner) = (cluster.others(&key)[0], cluster.owners(&key)[1]);
    cluster.link(node, owner, Link::Refused);
    let record = record_of(&mut cluster, owner, &key);
    let read = Provenance { epoch: Epoch::FIRST, ..Provenance::default() };
    let (bucket, name) = (BucketId::DEFAULT, key.clone());
    let item = WriteItem { bucket, read, key: name, record, heal: None, stand_in_for: Some(owner) };
    let peer = cluster.owners(&key)[0];
    cluster.ask_as_peer(node, peer, RequestBody::Write(vec![item]));
    for _ in 0..8 {
        round(&mut cluster);
    }
    assert_eq!(epoch(&cluster, owner, &key), Epoch::FIRST.plus(1));
    assert!(cluster.held(owner, &key).unwrap().is_some());
    cluster.link(node, owner, Link::Up);
    cluster.advance(1_000);
    for _ in 0..24 {
        round(&mut cluster);
    }
    assert_eq!(cluster.held(owner, &key), Ok(None));
}

/// Tells node 1 of exchanges with both others, who were so, and says whether that is enough for the next epoch.
fn turns_after(theirs: Standing) -> bool {
    let (mut cluster, key) = deleted();
    let tree = tree(&cluster, &key);
    cluster.set_epoch(NodeId(1), tree, Epoch(5));
    for peer in [2, 3].map(NodeId) {
        let meeting = Meeting { tree, peer, begun: cluster.epochs(NodeId(1)).begun(tree), theirs };
        cluster.epochs(NodeId(1)).met(&cluster.nodes[&NodeId(1)].view, meeting);
    }
    cluster.epochs(NodeId(1)).cleared(ClearItem { tree, epoch: Epoch(5) });
    cluster.turn(NodeId(1));
    epoch(&cluster, NodeId(1), &key) == Epoch(6)
}

#[test]
pub(crate) fn those_count_who_are_abreast_and_know_that_no_older_copies_are_kept() {
    let both = Standing { epoch: Epoch(5), cleared: Epoch(5), is_complete: true, is_wanted: true };
    assert!(turns_after(both));
    assert!(turns_after(Standing { epoch: Epoch(6), ..both }), "who is ahead had asked before");
    assert!(!turns_after(Standing { epoch: Epoch(4), ..both }));
    assert!(!turns_after(Standing { cleared: Epoch(4), ..both }));
}

#[test]
pub(crate) fn a_sender_is_believed_once_everybody_must_have_had_it() {
    for (since, kept) in [(2, 2), (3, 3), (4, 5)] {
        let mut cluster = Cluster::new(3);
        let key = cluster.key_of(NodeId(1));
        cluster.isolate(NodeId(1), Link::Refused);
        cluster.put(NodeId(2), blind(&key, "v"));
        cluster.put(NodeId(2), Put::delete("default", key.clone()));
        cluster.isolate(NodeId(1), Link::Up);
        let record = record_of(&mut cluster, NodeId(2), &key);
        let at = tree(&cluster, &key);
        cluster.set_epoch(NodeId(1), at, Epoch(5));
        let sinces = Sinces::from_entries(vec![Epoch(since)]);
        let read = Provenance { epoch: Epoch(5), sinces };
        let (bucket, name) = (BucketId::DEFAULT, key.clone());
        let item = WriteItem { bucket, read, key: name.clone(), record, heal: None, stand_in_for: None };
        cluster.ask_as_peer(NodeId(1), NodeId(2), RequestBody::Write(vec![item]));
        let item = ReadItem { bucket, key: name, unless: None, stand_in: false, repairs: false };
        match cluster.read_as_peer(NodeId(1), NodeId(2), vec![item]).remove(0) {
            ReadAnswer::Record(read, _) => assert_eq!(read.sinces.entries(), [Epoch(kept)]),
            other => panic!("{other:?}"),
        }
    }
}
