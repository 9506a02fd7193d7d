use kv_core::bucket::{BucketProperties, BucketTable, Quorum};
use kv_core::causality::{Actor, Context, ContextToken, Dot, DotSet, Stamp};
use kv_core::command::{Content, Get, GetMany, Put, PutMany, ReadOptions, Replace, WriteOptions};
use kv_core::error::ErrorKind;
use kv_core::ids::{BucketId, ClusterId, Epoch, Incarnation, NodeId};
use kv_core::key::Key;
use kv_core::limits::Limits;
use kv_core::record::{Draft, EncodedRecord, Provenance, Record, Version};
use kv_core::storage::Durability;
use kv_core::transport::Sender;
use kv_core::wire::{
    AnswerBody, Forward, Header, Join, ReadItem, Request, RequestBody, WriteAnswer, WriteItem,
};

use crate::cluster::{Cluster, Link, SECRET, key};
use crate::puts::{blind, not_applied};

const NODE: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

fn read(key: &Key) -> RequestBody {
    RequestBody::Read(vec![ReadItem {
        bucket: BucketId::DEFAULT,
        key: key.clone(),
        unless: None,
        stand_in: false,
        repairs: false,
    }])
}

fn write(key: &Key, bucket: BucketId) -> WriteItem {
    let actor = Actor { incarnation: Incarnation(5), birth: 1 };
    let version = Version {
        dot: Dot { actor, counter: 1 },
        past: DotSet::new(),
        stamp: Stamp(1),
        expiry: None,
        id: None,
        value: Some(bytes::Bytes::from_static(b"v")),
    };
    let record: Record = [version].into_iter().collect();
    let record = EncodedRecord::encode(&record, bucket, key).into_bytes();
    WriteItem {
        bucket,
        read: Provenance { epoch: Epoch::FIRST, ..Provenance::default() },
        key: key.clone(),
        record,
        heal: None,
        stand_in_for: None,
    }
}

fn peer_bodies(cluster: &Cluster, key: &Key) -> Vec<RequestBody> {
    let forward = Forward {
        receiver: Incarnation(NODE.0 << 32),
        sender: Incarnation(3),
        id: 1,
        floor: 1,
        bucket: BucketId::DEFAULT,
        key: key.clone(),
        draft: Draft::of(None),
        context: Context::default().seal(&SECRET, BucketId::DEFAULT, key),
        options: WriteOptions::default(),
    };
    let layout = (*cluster.nodes[&NODE].view.layout).clone();
    vec![
        read(key),
        RequestBody::Write(vec![write(key, BucketId::DEFAULT)]),
        RequestBody::Forward(forward),
        RequestBody::MergeBuckets(BucketTable::default()),
        RequestBody::Join(Box::new(Join {
            layout,
            secret: SECRET,
            table: BucketTable::default(),
            is_late: false,
        })),
    ]
}

/// What comes of a request with that header.
fn answer(cluster: &mut Cluster, sender: Sender, header: Header, body: RequestBody) -> AnswerBody {
    let client = cluster.submit(NODE, sender, Request { header, body });
    cluster.run();
    cluster.told(client).expect("an answer").clone()
}

fn refused(answer: AnswerBody) -> ErrorKind {
    match answer {
        AnswerBody::Refused(error) => error.kind(),
        other => panic!("not refused: {other:?}"),
    }
}

fn peer_header(cluster: &Cluster) -> Header {
    cluster.door(PEER).header(cluster.now(PEER))
}

#[test]
pub(crate) fn clients_may_not_speak_as_peers() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let as_peer = peer_header(&cluster);
    for body in peer_bodies(&cluster, &key) {
        for header in [as_peer, Cluster::client_header()] {
            let answer = answer(&mut cluster, Sender::Client, header, body.clone());
            assert_eq!(refused(answer), ErrorKind::NotPermitted, "{body:?}");
        }
    }
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn a_request_of_another_cluster_is_refused() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let header = peer_header(&cluster);
    let get = RequestBody::Get(Get::new("default", key.clone()));
    let strange = Header { cluster: ClusterId(8), ..header };
    for body in peer_bodies(&cluster, &key).into_iter().chain([get.clone()]) {
        let answer = answer(&mut cluster, Sender::Peer(PEER), strange, body);
        assert_eq!(refused(answer), ErrorKind::WrongCluster);
    }
    assert_eq!(refused(answer(&mut cluster, Sender::Client, strange, get.clone())), ErrorKind::WrongCluster);
    // A client need not know the cluster, a peer has to.
    let unknown = Header { cluster: ClusterId(0), ..header };
    assert!(matches!(answer(&mut cluster, Sender::Client, unknown, get), AnswerBody::Get(Ok(_))));
    let read = read(&key);
    assert_eq!(refused(answer(&mut cluster, Sender::Peer(PEER), unknown, read)), ErrorKind::WrongCluster);
}

#[test]
pub(crate) fn a_request_under_another_layout_is_refused_where_the_layout_counts() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    for layout in [0, 2] {
        let header = Header { layout, ..peer_header(&cluster) };
        for body in peer_bodies(&cluster, &key).into_iter().take(3) {
            let answer = answer(&mut cluster, Sender::Peer(PEER), header, body);
            assert_eq!(refused(answer), ErrorKind::StaleLayout);
        }
        let get = RequestBody::Get(Get::new("default", key.clone()));
        assert!(matches!(answer(&mut cluster, Sender::Client, header, get), AnswerBody::Get(Ok(_))));
    }
    assert_eq!(cluster.record_puts(), 0);
}

#[test]
pub(crate) fn a_context_that_was_not_issued_for_the_key_is_refused() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    cluster.put(NODE, Put::new("default", key.clone(), "v"));
    cluster.put(NODE, Put::new("default", crate::cluster::key("other"), "v"));
    cluster.put(NODE, Put::new("redis", key.clone(), "v"));
    let context = |cluster: &mut Cluster, bucket: &str, key: &Key| {
        cluster.get(NODE, Get::new(bucket, key.clone())).context
    };
    let good = context(&mut cluster, "default", &key);
    let mut forged = vec![
        ContextToken::default(),
        ContextToken::from_bytes("rubbish"),
        ContextToken::from_bytes(vec![1; 1_000]),
        ContextToken::from_bytes([good.as_bytes(), b"x"].concat()),
        ContextToken::from_bytes(good.as_bytes()[..good.as_bytes().len() - 1].to_vec()),
        context(&mut cluster, "default", &crate::cluster::key("other")),
        context(&mut cluster, "redis", &key),
    ];
    // Well made by somebody who knows the format but not the secret: covers everything, from the far future.
    let dot = Dot { actor: Actor { incarnation: Incarnation(1), birth: 1 }, counter: u64::MAX };
    let all = Context { dots: [dot].into_iter().collect(), stamp: Stamp(u64::MAX) };
    forged.push(all.seal(b"another secret!!", BucketId::DEFAULT, &key));
    for bit in 0..good.as_bytes().len() * 8 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        forged.push(ContextToken::from_bytes(bytes));
    }
    let before = cluster.record_puts();
    for token in forged {
        for put in [Put::new("default", key.clone(), "w"), Put::delete("default", key.clone())] {
            let result = cluster.try_put(NODE, put.with_context(token.clone()));
            assert_eq!(not_applied(result), ErrorKind::InvalidContext, "{:?}", token.as_bytes());
        }
    }
    assert_eq!(cluster.record_puts(), before);
    assert_eq!(cluster.values(NODE, &key), ["v"]);
    cluster.put(NODE, Put::new("default", key.clone(), "w").with_context(good));
    assert_eq!(cluster.values(NODE, &key), ["w"]);
}

fn refuses_put(cluster: &mut Cluster, put: Put, kind: ErrorKind) {
    assert_eq!(not_applied(cluster.try_put(NODE, put)), kind);
    assert_eq!(cluster.record_puts(), 0, "nothing was written");
}

#[test]
pub(crate) fn what_cannot_be_had_is_refused_and_not_rounded() {
    let careful = BucketProperties {
        w: Quorum::All,
        w_min: 2,
        value_bytes_max: Some(10),
        ..BucketProperties::default()
    };
    let mut cluster = Cluster::with(3, Limits::default(), &[("careful", careful)]);
    let key = key("k");
    let put = |bucket: &str| Put { replace: Replace::Nothing, ..Put::new(bucket, key.clone(), "v") };

    for w in [Quorum::One, Quorum::Count(1)] {
        refuses_put(&mut cluster, put("careful").with_w(w), ErrorKind::InvalidConsistency);
    }
    for count in [0, 4, 252] {
        let quorum = Quorum::Count(count);
        refuses_put(&mut cluster, put("default").with_w(quorum), ErrorKind::InvalidConsistency);
        let mut overwrite = Put::new("default", key.clone(), "v");
        overwrite.options.r = Some(quorum);
        refuses_put(&mut cluster, overwrite, ErrorKind::InvalidConsistency);
        let error = cluster.try_get(NODE, Get::new("default", key.clone()).with_r(quorum)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConsistency);
    }
    refuses_put(&mut cluster, put("nowhere"), ErrorKind::UnknownBucket);
    let error = cluster.try_get(NODE, Get::new("nowhere", key.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownBucket);
    let large = Put { content: Content::value("x".repeat(11)), ..put("careful").with_w(Quorum::Count(2)) };
    refuses_put(&mut cluster, large, ErrorKind::ValueTooLarge);
    let fits = Put { content: Content::value("x".repeat(10)), ..put("careful").with_w(Quorum::Count(2)) };
    cluster.put(NODE, fits);
}

#[test]
pub(crate) fn what_is_too_large_is_refused() {
    let limits = Limits { key_bytes_max: 16, value_bytes_max: 1_000, batch_keys_max: 3, ..Limits::default() };
    let mut cluster = Cluster::with(3, limits, &[]);
    let (short, long) = (key(&"k".repeat(16)), key(&"k".repeat(17)));
    refuses_put(&mut cluster, blind(&long, "v"), ErrorKind::InvalidKey);
    refuses_put(&mut cluster, blind(&short, &"v".repeat(1_001)), ErrorKind::ValueTooLarge);
    let error = cluster.try_get(NODE, Get::new("default", long)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
    let keys = vec![short.clone(); 4];
    let puts = keys.iter().map(|key| (key.clone(), Content::Tombstone, Replace::Overwrite)).collect();
    let options = (ReadOptions::default(), WriteOptions::default());
    let bodies = [
        RequestBody::GetMany(GetMany { bucket: "default".into(), keys, options: options.0 }),
        RequestBody::PutMany(PutMany { bucket: "default".into(), puts, options: options.1 }),
    ];
    for body in bodies {
        assert_eq!(refused(cluster.ask(NODE, body)), ErrorKind::BatchTooLarge);
    }
    cluster.put(NODE, blind(&short, &"v".repeat(1_000)));
}

#[test]
pub(crate) fn records_that_fail_their_checksum_are_not_merged() {
    let mut cluster = Cluster::new(5);
    let owned = cluster.key_of(NODE);
    let strange = (0..100).map(|number| key(&format!("key {number}")));
    let strange = strange.into_iter().find(|key| !cluster.owners(key).contains(&NODE)).unwrap();
    let good = write(&owned, BucketId::DEFAULT);
    let mut altered = good.clone();
    altered.record = [&altered.record[..], b"x"].concat().into();
    let of_another = WriteItem { record: write(&strange, BucketId::DEFAULT).record, ..good.clone() };
    let cases = [
        (altered, ErrorKind::InvalidFrame),
        (of_another, ErrorKind::InvalidFrame),
        (write(&strange, BucketId::DEFAULT), ErrorKind::NotOwner),
        (write(&owned, BucketId(99)), ErrorKind::UnknownBucket),
    ];
    for (bad, kind) in cases {
        let header = peer_header(&cluster);
        let body = RequestBody::Write(vec![good.clone(), bad]);
        let answer = answer(&mut cluster, Sender::Peer(PEER), header, body);
        assert_eq!(
            answer,
            AnswerBody::Write(vec![WriteAnswer::Committed(Durability::Synced), WriteAnswer::Refused(kind)])
        );
    }
    assert_eq!(cluster.record_puts(), 1, "only the good one, and once");
}

#[test]
pub(crate) fn a_clock_is_heard_from_peers_of_the_cluster_only_and_never_from_far_ahead() {
    let cluster = Cluster::new(3);
    let now = cluster.now(NODE);
    let door = cluster.door(NODE);
    let before = door.header(now).clock;
    let near = Header { clock: Stamp::from_millis(now.wall_ms + 30_000), ..peer_header(&cluster) };
    let far = Header { clock: Stamp::from_millis(now.wall_ms + 90_000), ..near };
    door.hear(Sender::Client, &near, now);
    door.hear(Sender::Peer(PEER), &Header { cluster: ClusterId(8), ..near }, now);
    door.hear(Sender::Peer(PEER), &far, now);
    assert_eq!(door.header(now).clock, before);
    door.hear(Sender::Peer(PEER), &near, now);
    assert_eq!(door.header(now).clock, near.clock);
}

#[test]
pub(crate) fn a_context_from_far_ahead_does_not_drag_the_clock_along() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let ten_years = Stamp::from_millis(cluster.now(NODE).wall_ms + 315_360_000_000);
    let future = Context { stamp: ten_years, ..Context::default() };
    let token = future.seal(&SECRET, BucketId::DEFAULT, &key);
    cluster.put(NODE, Put::new("default", key.clone(), "v").with_context(token));
    let clock = cluster.door(NODE).header(cluster.now(NODE)).clock;
    assert!(clock < Stamp::from_millis(cluster.now(NODE).wall_ms + 60_000), "{clock}");
    let stamp = cluster.held(NODE, &key).unwrap().unwrap().stamp();
    assert_eq!(stamp, ten_years.next(), "the version is above its context all the same");
}

#[test]
pub(crate) fn a_record_from_far_ahead_is_taken_by_every_owner() {
    let mut cluster = Cluster::new(3);
    let key = key("k");
    let ten_years = Stamp::from_millis(cluster.now(NODE).wall_ms + 315_360_000_000);
    let future = Context { stamp: ten_years, ..Context::default() };
    let token = future.seal(&SECRET, BucketId::DEFAULT, &key);
    let put = Put::new("default", key.clone(), "v").with_context(token).with_w(Quorum::Majority);
    cluster.isolate(NodeId(3), Link::Refused);
    cluster.put(NODE, put);
    cluster.isolate(NodeId(3), Link::Up);
    // One owner was sent it by the coordinator, the other is repaired with it.
    cluster.get(PEER, Get::new("default", key.clone()).with_r(Quorum::All));
    for node in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.held(node, &key).unwrap().unwrap().stamp(), ten_years.next(), "at node {node}");
        let clock = cluster.door(node).header(cluster.now(node)).clock;
        assert!(clock < Stamp::from_millis(cluster.now(node).wall_ms + 60_000), "{clock} at node {node}");
    }
}
