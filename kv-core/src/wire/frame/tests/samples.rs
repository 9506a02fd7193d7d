//! One message of every variant that travels. The lists of names are made from exhaustive matches: a variant without a name does not
//! compile, a name without a message fails the golden test.

use bytes::Bytes;

use crate::bucket::{BucketProperties, BucketTable, Quorum, QuorumMode};
use crate::causality::{Actor, ContextToken, Dot, Stamp};
use crate::command::{
    Ack, Attempt, Content, Decision, Explain, ExplainedReplica, ExplainedVersion, Get, GetAnswer, GetMany,
    Put, PutApplied, PutMany, PutResult, ReadOptions, ReadRepair, Replace, ReplicaState, Sibling,
    WriteOptions,
};
use crate::error::{Cause, Error, ErrorKind, QuorumShortfall};
use crate::ids::{BucketId, ClusterId, Epoch, Incarnation, NodeId, PartitionId, Token, TraceId};
use crate::key::Key;
use crate::layout::{Layout, LayoutDraft, Member, Partitioning, Placement};
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::partitioner::Xxh3Partitioner;
use crate::record::WriteId;
use crate::replication::{PlacementAnswer, PlacementRequest, ReplicationStrategy};
use crate::storage::{Durability, StorageStats};
use crate::wire::{
    AnswerBody, BucketChange, ClusterInfo, EpochStatus, Forward, ForwardAnswer, Header, Heal, Join,
    NodeStatus, PeerStatus, RangeAnswer, ReadAnswer, ReadItem, RequestBody, Source, WriteAnswer, WriteItem,
};

macro_rules! variants {
    ($name:ident, $all:ident, $type:ty: $($text:literal = $pattern:pat,)*) => {
        pub(in crate::wire::frame::tests) const $all: &[&str] = &[$($text,)*];
        pub(in crate::wire::frame::tests) fn $name(value: &$type) -> &'static str {
            match value { $($pattern => $text,)* }
        }
    };
}

pub(super) mod contents;
mod scans;
pub(super) mod trees;

variants! { request_name, REQUESTS, RequestBody:
    "read" = RequestBody::Read(_),
    "write" = RequestBody::Write(_),
    "forward" = RequestBody::Forward(_),
    "merge_buckets" = RequestBody::MergeBuckets(_),
    "join" = RequestBody::Join(..),
    "get" = RequestBody::Get(_),
    "put" = RequestBody::Put(_),
    "get_many" = RequestBody::GetMany(_),
    "put_many" = RequestBody::PutMany(_),
    "cluster" = RequestBody::Cluster,
    "status" = RequestBody::Status,
    "init" = RequestBody::Init,
    "change_bucket" = RequestBody::ChangeBucket(_),
    "read_range" = RequestBody::ReadRange(_),
    "scan" = RequestBody::Scan(_),
    "gossip" = RequestBody::Gossip(_),
    "partitions" = RequestBody::Partitions(_),
    "repair" = RequestBody::Repair,
    "count" = RequestBody::Count(_),
    "clear" = RequestBody::Clear(_),
    "compare" = RequestBody::Compare(_),
}

variants! { answer_name, ANSWERS, AnswerBody:
    "refused" = AnswerBody::Refused(_),
    "read" = AnswerBody::Read(_),
    "write" = AnswerBody::Write(_),
    "forward" = AnswerBody::Forward(_),
    "buckets" = AnswerBody::Buckets(_),
    "done" = AnswerBody::Done,
    "get" = AnswerBody::Get(_),
    "put" = AnswerBody::Put(_),
    "get_many" = AnswerBody::GetMany(_),
    "put_many" = AnswerBody::PutMany(_),
    "cluster" = AnswerBody::Cluster(_),
    "status" = AnswerBody::Status(_),
    "range" = AnswerBody::Range(_),
    "scan" = AnswerBody::Scan(_),
    "partitions" = AnswerBody::Partitions(_),
    "repair" = AnswerBody::Repair(_),
    "counted" = AnswerBody::Counted(_),
    "cleared" = AnswerBody::Cleared(_),
    "compared" = AnswerBody::Compared(_),
}

variants! { replace_name, REPLACES, Replace:
    "overwrite" = Replace::Overwrite,
    "context" = Replace::Context(_),
    "nothing" = Replace::Nothing,
}

variants! { quorum_name, QUORUMS, Quorum:
    "one" = Quorum::One,
    "majority" = Quorum::Majority,
    "all" = Quorum::All,
    "count" = Quorum::Count(_),
}

variants! { mode_name, MODES, QuorumMode:
    "strict" = QuorumMode::Strict,
    "sloppy" = QuorumMode::Sloppy,
}

variants! { durability_name, DURABILITIES, Durability:
    "buffered" = Durability::Buffered,
    "synced" = Durability::Synced,
}

variants! { change_name, CHANGES, BucketChange:
    "create" = BucketChange::Create(..),
    "set" = BucketChange::Set(..),
    "delete" = BucketChange::Delete(_),
}

variants! { read_answer_name, READ_ANSWERS, ReadAnswer:
    "absent" = ReadAnswer::Absent(_),
    "unchanged" = ReadAnswer::Unchanged,
    "record" = ReadAnswer::Record(..),
    "recovering" = ReadAnswer::Recovering(..),
    "damaged" = ReadAnswer::Damaged(_),
    "refused" = ReadAnswer::Refused(_),
}

variants! { write_answer_name, WRITE_ANSWERS, WriteAnswer:
    "committed" = WriteAnswer::Committed(_),
    "refused" = WriteAnswer::Refused(_),
    "unknown" = WriteAnswer::Unknown,
}

variants! { put_result_name, PUT_RESULTS, PutResult:
    "applied" = PutResult::Applied(_),
    "not_applied" = PutResult::NotApplied(_),
    "indeterminate" = PutResult::Indeterminate(_),
}

variants! { state_name, STATES, ReplicaState:
    "not_asked" = ReplicaState::NotAsked,
    "waiting" = ReplicaState::Waiting,
    "answered" = ReplicaState::Answered,
    "recovering" = ReplicaState::Recovering,
    "committed" = ReplicaState::Committed(_),
    "failed" = ReplicaState::Failed(_),
}

variants! { decision_name, DECISIONS, Decision:
    "not_found" = Decision::NotFound,
    "deleted" = Decision::Deleted,
    "only_version" = Decision::OnlyVersion,
    "siblings" = Decision::Siblings,
    "kept" = Decision::Kept(_),
    "combined" = Decision::Combined(_),
    "written" = Decision::Written,
}

pub(super) fn header() -> Header {
    Header {
        cluster: ClusterId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
        layout: 300,
        incarnation: Incarnation(0x0102_0304_0506_0708),
        clock: Stamp::from_millis(1_700_000_000_000),
        buckets: 0xfeed,
        trace: TraceId(0x7ace),
    }
}

pub(super) fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

fn token(bytes: &'static [u8]) -> ContextToken {
    ContextToken::from_bytes(Bytes::from_static(bytes))
}

fn dot(counter: u64) -> Dot {
    Dot { actor: Actor { incarnation: Incarnation(0x1122_3344_5566_7788), birth: 3 }, counter }
}

pub(super) fn read_items() -> Vec<ReadItem> {
    let item = |unless, stand_in| ReadItem {
        bucket: BucketId(1),
        key: key("k"),
        unless,
        stand_in,
        repairs: !stand_in,
    };
    vec![item(None, false), item(Some(0xabcd), false), item(None, true)]
}

pub(super) fn write_items() -> Vec<WriteItem> {
    let sources =
        vec![Source { node: NodeId(1), complete: true }, Source { node: NodeId(2), complete: false }];
    let item = |heal, stand_in_for| WriteItem {
        bucket: BucketId(2),
        read: trees::provenance(),
        key: key("key"),
        record: Bytes::from_static(b"record"),
        heal,
        stand_in_for,
    };
    vec![item(Some(Heal { damage: 77, sources }), None), item(None, Some(NodeId(4)))]
}

pub(super) fn forward() -> Forward {
    Forward {
        receiver: Incarnation(9),
        sender: Incarnation(8),
        id: 1_000,
        floor: 998,
        bucket: BucketId(1),
        key: key("k"),
        draft: contents::draft(),
        context: token(b"ctx"),
        options: write_options(Quorum::Count(2), QuorumMode::Strict),
    }
}

pub(super) fn write_options(w: Quorum, mode: QuorumMode) -> WriteOptions {
    let attempt = Attempt::First(WriteId([9; 16]));
    WriteOptions { w: Some(w), r: None, quorum: Some(mode), timeout_ms: Some(2_000), explain: true, attempt }
}

fn read_options(r: Option<Quorum>) -> ReadOptions {
    ReadOptions {
        r,
        quorum: Some(QuorumMode::Strict),
        timeout_ms: Some(250),
        explain: false,
        repair: ReadRepair::Background,
    }
}

pub(super) fn properties(durability: Durability) -> BucketProperties {
    BucketProperties {
        n: 5,
        r: Quorum::One,
        w: Quorum::All,
        w_min: 2,
        quorum: QuorumMode::Strict,
        resolver: "siblings".into(),
        durability,
        value_bytes_max: Some(1_000),
        siblings_max: None,
        expiry_ms: Some(86_400_000),
    }
}

pub(super) fn table() -> BucketTable {
    let mut table = BucketTable::default();
    let limits = Limits { frame_bytes_max: 100 << 20, ..Limits::default() };
    for (name, id) in [("carts", 77), ("gone", 78)] {
        let properties = properties(Durability::Buffered);
        table.set(name, properties, BucketId(id), Stamp(500), &limits).unwrap();
    }
    table.delete("gone", Stamp(600)).unwrap();
    table
}

/// Places by rotation, so that golden bytes do not depend on the placement that a release thinks best.
#[derive(Debug)]
struct Rotation;

impl ReplicationStrategy for Rotation {
    fn name(&self) -> String {
        "rotation".into()
    }

    fn place(&self, request: &PlacementRequest<'_>) -> PlacementAnswer {
        let ids: Vec<NodeId> = request.members.iter().map(|member| member.id).collect();
        let lists = (0..request.partitioning.count() as usize).map(|partition| {
            let mut list = ids.clone();
            list.rotate_left(partition % ids.len());
            list
        });
        let lists: Vec<Vec<NodeId>> = lists.collect();
        let placement = Placement::from_lists(lists.iter().map(Vec::as_slice)).unwrap();
        PlacementAnswer { placement, unmet: Vec::new() }
    }

    fn balance(&self) -> f64 {
        2.0
    }

    fn movement(&self) -> f64 {
        2.0
    }
}

pub(super) fn layout() -> Layout {
    let members = [1, 2, 300]
        .map(|id| Member { zone: format!("z{id}"), ..Member::new(NodeId(id), format!("host{id}:7380")) });
    let draft = LayoutDraft {
        cluster: header().cluster,
        members: members.into(),
        partitioning: Partitioning::new(4).unwrap(),
        replicas: 3,
    };
    Layout::first(draft, &Xxh3Partitioner, &Rotation).unwrap().0
}

/// One request of every variant, and of every variant of what is in it.
pub(super) fn requests() -> Vec<(String, RequestBody)> {
    let mut list = vec![
        RequestBody::Read(read_items()),
        RequestBody::Write(write_items()),
        RequestBody::Forward(forward()),
        RequestBody::MergeBuckets(table()),
        RequestBody::Join(Box::new(Join {
            layout: layout(),
            secret: *b"0123456789abcdef",
            table: BucketTable::default(),
            is_late: true,
        })),
        RequestBody::Get(Get { bucket: "default".into(), key: key("k"), options: read_options(None) }),
        RequestBody::Put(Put::delete("redis", key("k"))),
        RequestBody::GetMany(GetMany {
            bucket: "b".into(),
            keys: vec![key("a"), key("b")],
            options: read_options(None),
        }),
        RequestBody::PutMany(PutMany {
            bucket: "b".into(),
            puts: vec![
                (key("a"), Content::value("1"), Replace::Nothing),
                (key("b"), Content::Tombstone, Replace::Context(token(b"seen"))),
            ],
            options: WriteOptions::default(),
        }),
        RequestBody::Cluster,
        RequestBody::Status,
        RequestBody::Init,
        RequestBody::ChangeBucket(BucketChange::Delete("b".into())),
        RequestBody::ReadRange(scans::range_item()),
        RequestBody::Scan(scans::scan()),
        RequestBody::Gossip(Bytes::from_static(b"packet")),
        RequestBody::Partitions(BucketId(300)),
        RequestBody::Repair,
        RequestBody::Count(vec![trees::leaf()]),
        RequestBody::Clear(vec![trees::clear_item()]),
        RequestBody::Compare(vec![trees::compare_item()]),
    ];
    let mut named: Vec<(String, RequestBody)> =
        list.drain(..).map(|body| (format!("request {}", request_name(&body)), body)).collect();
    for replace in [Replace::Overwrite, Replace::Context(token(b"ctx")), Replace::Nothing] {
        let name = format!("request put replace {}", replace_name(&replace));
        named.push((name, RequestBody::Put(Put { replace, ..Put::new("default", key("k"), "value") })));
    }
    named.extend(contents::puts());
    for quorum in [Quorum::One, Quorum::Majority, Quorum::All, Quorum::Count(2)] {
        let get = Get { bucket: "b".into(), key: key("k"), options: read_options(Some(quorum)) };
        named.push((format!("request get quorum {}", quorum_name(&quorum)), RequestBody::Get(get)));
    }
    for mode in [QuorumMode::Strict, QuorumMode::Sloppy] {
        let options = write_options(Quorum::Majority, mode);
        let put = Put { options, ..Put::new("b", key("k"), "value") };
        named.push((format!("request put mode {}", mode_name(&mode)), RequestBody::Put(put)));
    }
    for durability in [Durability::Buffered, Durability::Synced] {
        let change = BucketChange::Create("b".into(), properties(durability));
        let name = format!("request change_bucket durability {}", durability_name(&durability));
        named.push((name, RequestBody::ChangeBucket(change)));
    }
    let changes = [
        BucketChange::Create("b".into(), BucketProperties::default()),
        BucketChange::Set("b".into(), BucketProperties::default()),
        BucketChange::Delete("b".into()),
    ];
    for change in changes {
        let name = format!("request change_bucket {}", change_name(&change));
        named.push((name, RequestBody::ChangeBucket(change)));
    }
    named
}

pub(super) fn error() -> Error {
    let causes = vec![
        Cause { node: NodeId(2), kind: ErrorKind::ConnectionFailed },
        Cause { node: NodeId(3), kind: ErrorKind::Damaged },
    ];
    Error::new(ErrorKind::Unavailable, "too few").with_quorum(QuorumShortfall { needed: 2, got: 1, causes })
}

pub(super) fn read_answers() -> Vec<ReadAnswer> {
    vec![
        ReadAnswer::Absent(Epoch(300)),
        ReadAnswer::Unchanged,
        ReadAnswer::Record(trees::provenance(), Bytes::from_static(b"record")),
        ReadAnswer::Recovering(0x0102_0304, trees::provenance(), Bytes::from_static(b"part")),
        ReadAnswer::Damaged(u64::MAX),
        ReadAnswer::Refused(ErrorKind::FrameTooLarge),
    ]
}

pub(super) fn write_answers() -> Vec<WriteAnswer> {
    vec![
        WriteAnswer::Committed(Durability::Synced),
        WriteAnswer::Refused(ErrorKind::NotOwner),
        WriteAnswer::Unknown,
    ]
}

pub(super) fn states() -> Vec<ReplicaState> {
    vec![
        ReplicaState::NotAsked,
        ReplicaState::Waiting,
        ReplicaState::Answered,
        ReplicaState::Recovering,
        ReplicaState::Committed(Incarnation(5)),
        ReplicaState::Failed(ErrorKind::DeadlineExceeded),
    ]
}

pub(super) fn decisions() -> Vec<Decision> {
    vec![
        Decision::NotFound,
        Decision::Deleted,
        Decision::OnlyVersion,
        Decision::Siblings,
        Decision::Kept("last_write_wins".into()),
        Decision::Combined("union".into()),
        Decision::Written,
    ]
}

pub(super) fn explain(state: ReplicaState, decision: Decision) -> Explain {
    let expires_at_ms = Some(1 << 40);
    let (dot, stamp) = (dot(4), Stamp(70_000));
    let version = |value_bytes, won| ExplainedVersion { dot, stamp, value_bytes, expires_at_ms, won };
    Explain {
        coordinator: NodeId(1),
        token: Token(u64::MAX),
        partition: PartitionId(1_023),
        layout: 2,
        needed: 2,
        replicas: vec![ExplainedReplica {
            node: NodeId(3),
            is_owner: true,
            state,
            versions: vec![version(Some(300), true), version(None, false)],
            repaired: true,
        }],
        decision,
    }
}

pub(super) fn get_answer(explain: Option<Explain>) -> GetAnswer {
    let value = Bytes::from_static(b"value");
    GetAnswer {
        values: vec![Sibling { value, dot: dot(1), stamp: Stamp(1 << 40), expires_at_ms: Some(1 << 41) }],
        context: token(b"context"),
        stand_ins: 1,
        explain: explain.map(Box::new),
    }
}

pub(super) fn put_results() -> Vec<PutResult> {
    let applied = PutApplied {
        dot: Some(dot(2)),
        context: token(b"context"),
        acks: vec![
            Ack {
                node: NodeId(1),
                incarnation: Incarnation(6),
                durability: Durability::Synced,
                stands_for: None,
            },
            Ack {
                node: NodeId(4),
                incarnation: Incarnation(7),
                durability: Durability::Buffered,
                stands_for: Some(NodeId(2)),
            },
        ],
        stand_ins_read: 1,
        explain: None,
    };
    vec![
        PutResult::Applied(applied),
        PutResult::NotApplied(Error::new(ErrorKind::ValueTooLarge, "large")),
        PutResult::Indeterminate(error()),
    ]
}

fn peer(answers: Option<bool>, liveness: Liveness) -> PeerStatus {
    PeerStatus { node: NodeId(3), answers, liveness, latency_us: 700, copies: 2, copies_bytes: 300 }
}

pub(super) fn status() -> NodeStatus {
    NodeStatus {
        node: NodeId(2),
        release: "0.1.0".into(),
        uptime_s: 86_400,
        cluster: Some(header().cluster),
        layout: 1,
        incarnation: Incarnation(4),
        trouble: "disk".into(),
        storage: StorageStats {
            entries: 10,
            bytes_used: 4_096,
            bytes_free: Some(1 << 30),
            syncs: 3,
            batches: 5,
        },
        operations: 2,
        mutations: 1,
        clock_distance_ms: 12,
        counters: vec![("gets_answered".into(), 7)],
        peers: vec![peer(None, Liveness::Unheard), peer(Some(true), Liveness::Suspected)],
        epochs: EpochStatus {
            partitions: 768,
            lowest: Epoch(3),
            highest: Epoch(5),
            recovering: 2,
            ageing: 9,
        },
        repair: trees::repair_status(),
    }
}

/// One answer of every variant, and of every variant of what is in it.
pub(super) fn answers() -> Vec<(String, AnswerBody)> {
    let nothing =
        PutApplied { dot: None, context: token(b""), acks: Vec::new(), stand_ins_read: 0, explain: None };
    let list = [
        AnswerBody::Refused(error()),
        AnswerBody::Read(read_answers()),
        AnswerBody::Write(write_answers()),
        AnswerBody::Forward(ForwardAnswer { result: PutResult::Applied(nothing) }),
        AnswerBody::Buckets(table()),
        AnswerBody::Done,
        AnswerBody::Get(Ok(get_answer(None))),
        AnswerBody::Put(PutResult::NotApplied(error())),
        AnswerBody::GetMany(vec![Ok(GetAnswer::default()), Err(error())]),
        AnswerBody::PutMany(put_results()),
        AnswerBody::Cluster(Box::new(ClusterInfo { layout: Some(layout()), buckets: table() })),
        AnswerBody::Status(Box::new(status())),
        AnswerBody::Range(RangeAnswer::Page(scans::range_page())),
        AnswerBody::Scan(Ok(scans::scan_answer())),
        AnswerBody::Partitions(vec![trees::partition_status()]),
        AnswerBody::Repair(3),
        AnswerBody::Counted(vec![trees::leaf_count()]),
        AnswerBody::Cleared(vec![true, false]),
        AnswerBody::Compared(trees::compare_answers()),
    ];
    let mut named: Vec<(String, AnswerBody)> =
        list.into_iter().map(|body| (format!("answer {}", answer_name(&body)), body)).collect();
    named.push((
        "answer range refused".into(),
        AnswerBody::Range(RangeAnswer::Refused(ErrorKind::StorageFailed)),
    ));
    named.push(("answer scan error".into(), AnswerBody::Scan(Err(error()))));
    named.push(("answer get error".into(), AnswerBody::Get(Err(error()))));
    let empty = ClusterInfo { layout: None, buckets: BucketTable::default() };
    named.push(("answer cluster without layout".into(), AnswerBody::Cluster(Box::new(empty))));
    for answer in read_answers() {
        let name = format!("answer read {}", read_answer_name(&answer));
        named.push((name, AnswerBody::Read(vec![answer])));
    }
    for answer in write_answers() {
        let name = format!("answer write {}", write_answer_name(&answer));
        named.push((name, AnswerBody::Write(vec![answer])));
    }
    for result in put_results() {
        named.push((format!("answer put {}", put_result_name(&result)), AnswerBody::Put(result)));
    }
    for state in states() {
        let explain = explain(state, Decision::OnlyVersion);
        let body = AnswerBody::Get(Ok(get_answer(Some(explain))));
        named.push((format!("answer get state {}", state_name(&state)), body));
    }
    for decision in decisions() {
        let name = format!("answer get decision {}", decision_name(&decision));
        let explain = explain(ReplicaState::Answered, decision);
        named.push((name, AnswerBody::Get(Ok(get_answer(Some(explain))))));
    }
    for kind in ErrorKind::ALL {
        let body = AnswerBody::Write(vec![WriteAnswer::Refused(*kind)]);
        named.push((format!("answer write refused {}", kind.name()), body));
    }
    named
}
