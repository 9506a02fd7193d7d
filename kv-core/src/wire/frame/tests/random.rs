//! Any message at all comes back as it was sent.

mod trees;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::samples;
use crate::bucket::{BucketProperties, Quorum, QuorumMode};
use crate::causality::{Actor, ContextToken, Dot, Stamp};
use crate::command::{
    Ack, Attempt, Content, Decision, Expires, Explain, ExplainedReplica, ExplainedVersion, Get, GetAnswer,
    GetMany, Put, PutApplied, PutMany, PutResult, ReadOptions, ReadRepair, Replace, ReplicaState, Scan,
    ScanAnswer, ScanEntry, ScanPosition, Sibling, WriteOptions,
};
use crate::error::{Cause, Error, ErrorKind, QuorumShortfall};
use crate::ids::{BucketId, ClusterId, Incarnation, NodeId, PartitionId, Token, TraceId};
use crate::key::Key;
use crate::record::{Draft, WriteId};
use crate::storage::Durability;
use crate::wire::{
    Answer, AnswerBody, BucketChange, Forward, ForwardAnswer, Header, Heal, Join, RangeAnswer, RangeEntry,
    RangeItem, RangePage, RangeState, ReadAnswer, ReadItem, Request, RequestBody, Source, WriteAnswer,
    WriteItem, decode_answer, decode_request, encode_answer, encode_request,
};

fn blob() -> impl Strategy<Value = Bytes> {
    prop_oneof![8 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 127..300)].prop_map(Bytes::from)
}

fn key() -> impl Strategy<Value = Key> {
    let bytes = prop_oneof![8 => vec(any::<u8>(), 1..10), 1 => vec(any::<u8>(), 1_024)];
    bytes.prop_map(|bytes| Key::new(bytes).unwrap())
}

fn token() -> impl Strategy<Value = ContextToken> {
    blob().prop_map(ContextToken::from_bytes)
}

fn dot() -> impl Strategy<Value = Dot> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(incarnation, birth, counter)| Dot {
        actor: Actor { incarnation: Incarnation(incarnation), birth },
        counter,
    })
}

fn kind() -> impl Strategy<Value = ErrorKind> {
    proptest::sample::select(ErrorKind::ALL)
}

fn error() -> impl Strategy<Value = Error> {
    let cause = (any::<u64>(), kind()).prop_map(|(node, kind)| Cause { node: NodeId(node), kind });
    let quorum = (any::<u8>(), any::<u8>(), vec(cause, 0..4));
    (kind(), ".{0,20}", option::of(quorum)).prop_map(|(kind, message, quorum)| {
        let error = Error::new(kind, message);
        match quorum {
            Some((needed, got, causes)) => error.with_quorum(QuorumShortfall { needed, got, causes }),
            None => error,
        }
    })
}

fn quorum() -> impl Strategy<Value = Quorum> {
    prop_oneof![
        Just(Quorum::One),
        Just(Quorum::Majority),
        Just(Quorum::All),
        (1u8..=252).prop_map(Quorum::Count)
    ]
}

fn mode() -> impl Strategy<Value = QuorumMode> {
    prop_oneof![Just(QuorumMode::Strict), Just(QuorumMode::Sloppy)]
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![Just(Durability::Buffered), Just(Durability::Synced)]
}

fn read_options() -> impl Strategy<Value = ReadOptions> {
    (option::of(quorum()), option::of(mode()), any::<Option<u32>>(), any::<bool>(), any::<bool>()).prop_map(
        |(r, quorum, timeout_ms, explain, foreground)| {
            let repair = if foreground { ReadRepair::Foreground } else { ReadRepair::Background };
            ReadOptions { r, quorum, timeout_ms, explain, repair }
        },
    )
}

fn write_options() -> impl Strategy<Value = WriteOptions> {
    let quorums = (option::of(quorum()), option::of(quorum()), option::of(mode()));
    (quorums, any::<Option<u32>>(), any::<bool>(), attempt()).prop_map(
        |((w, r, quorum), timeout_ms, explain, attempt)| WriteOptions {
            w,
            r,
            quorum,
            timeout_ms,
            explain,
            attempt,
        },
    )
}

fn id() -> impl Strategy<Value = WriteId> {
    any::<[u8; 16]>().prop_map(WriteId)
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![Just(Attempt::Only), id().prop_map(Attempt::First), id().prop_map(Attempt::Again)]
}

fn expires() -> impl Strategy<Value = Expires> {
    prop_oneof![
        Just(Expires::ByBucket),
        Just(Expires::Never),
        Just(Expires::Keep),
        any::<u64>().prop_map(Expires::AfterMs),
        any::<u64>().prop_map(Expires::AtMs),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        (blob(), expires()).prop_map(|(value, expires)| Content::Value(value, expires)),
        Just(Content::Tombstone),
        expires().prop_map(Content::Same),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    (option::of(blob()), any::<Option<u64>>(), any::<Option<u64>>(), option::of(id())).prop_map(
        |(value, expires_at_ms, value_stamp, id)| Draft {
            value,
            expires_at_ms,
            value_stamp: value_stamp.map(Stamp),
            id,
        },
    )
}

fn replace() -> impl Strategy<Value = Replace> {
    prop_oneof![Just(Replace::Overwrite), Just(Replace::Nothing), token().prop_map(Replace::Context)]
}

fn properties() -> impl Strategy<Value = BucketProperties> {
    let counts = (any::<u8>(), quorum(), quorum(), any::<u8>(), mode());
    let limits = (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u64>>());
    (counts, ".{0,12}", durability(), limits).prop_map(
        |((n, r, w, w_min, quorum), resolver, durability, (value_bytes_max, siblings_max, expiry_ms))| {
            BucketProperties {
                n,
                r,
                w,
                w_min,
                quorum,
                resolver,
                durability,
                value_bytes_max,
                siblings_max,
                expiry_ms,
            }
        },
    )
}

fn read_item() -> impl Strategy<Value = ReadItem> {
    let flags = (any::<bool>(), any::<bool>());
    (any::<u32>(), flags, key(), any::<Option<u64>>()).prop_map(
        |(bucket, (stand_in, repairs), key, unless)| ReadItem {
            bucket: BucketId(bucket),
            key,
            unless,
            stand_in,
            repairs,
        },
    )
}

fn write_item() -> impl Strategy<Value = WriteItem> {
    let source =
        (any::<u64>(), any::<bool>()).prop_map(|(node, complete)| Source { node: NodeId(node), complete });
    let heal = option::of((any::<u64>(), vec(source, 0..4)));
    (any::<u32>(), trees::provenance(), key(), blob(), (heal, option::of(any::<u64>()))).prop_map(
        |(bucket, read, key, record, (sources, owner))| WriteItem {
            bucket: BucketId(bucket),
            read,
            key,
            record,
            heal: sources.map(|(damage, sources)| Heal { damage, sources }),
            stand_in_for: owner.map(NodeId),
        },
    )
}

fn forward() -> impl Strategy<Value = Forward> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>());
    (numbers, key(), draft(), token(), write_options()).prop_map(
        |((receiver, id, floor, bucket), key, draft, context, options)| Forward {
            receiver: Incarnation(receiver),
            sender: Incarnation(!receiver),
            id,
            floor,
            bucket: BucketId(bucket),
            key,
            draft,
            context,
            options,
        },
    )
}

fn position() -> impl Strategy<Value = ScanPosition> {
    (any::<u64>(), option::of(key())).prop_map(|(token, after)| ScanPosition { token: Token(token), after })
}

fn range_item() -> impl Strategy<Value = RangeItem> {
    let numbers = (any::<u32>(), any::<u64>(), any::<u32>());
    (numbers, position(), blob(), any::<bool>(), any::<bool>()).prop_map(
        |((bucket, last, entries_max), from, prefix, records, repairs)| RangeItem {
            bucket: BucketId(bucket),
            repairs,
            from,
            last: Token(last),
            prefix,
            entries_max,
            records,
        },
    )
}

fn scan() -> impl Strategy<Value = Scan> {
    let numbers = (any::<u64>(), any::<u32>(), any::<bool>(), any::<Option<u32>>());
    (".{0,9}", position(), blob(), numbers, option::of(quorum())).prop_map(
        |(bucket, from, prefix, (last, limit, values, timeout_ms), r)| Scan {
            bucket,
            from,
            last: Token(last),
            prefix,
            limit,
            values,
            r,
            timeout_ms,
        },
    )
}

fn range_answer() -> impl Strategy<Value = RangeAnswer> {
    let state = prop_oneof![
        (any::<u64>(), any::<u64>()).prop_map(|(digest, until_ms)| RangeState::Digest(digest, until_ms)),
        blob().prop_map(RangeState::Record),
        Just(RangeState::Unsure),
    ];
    let entry = (any::<u64>(), key(), state).prop_map(|(token, key, state)| RangeEntry {
        token: Token(token),
        key,
        state,
    });
    let page = (vec(entry, 0..5), option::of(position()));
    prop_oneof![
        page.prop_map(|(entries, next)| RangeAnswer::Page(RangePage { entries, next })),
        kind().prop_map(RangeAnswer::Refused),
    ]
}

fn scanned() -> impl Strategy<Value = Result<ScanAnswer, Error>> {
    let entry = (key(), get_answer()).prop_map(|(key, GetAnswer { values, context, .. })| ScanEntry {
        key,
        values,
        context,
    });
    let page =
        (vec(entry, 0..5), option::of(position())).prop_map(|(entries, next)| ScanAnswer { entries, next });
    prop_oneof![page.prop_map(Ok), error().prop_map(Err)]
}

fn request() -> impl Strategy<Value = RequestBody> {
    let change = prop_oneof![
        (".{0,9}", properties()).prop_map(|(name, properties)| BucketChange::Create(name, properties)),
        (".{0,9}", properties()).prop_map(|(name, properties)| BucketChange::Set(name, properties)),
        ".{0,9}".prop_map(BucketChange::Delete),
    ];
    let puts = vec((key(), content(), replace()), 0..5);
    prop_oneof![
        vec(read_item(), 0..5).prop_map(RequestBody::Read),
        vec(write_item(), 0..5).prop_map(RequestBody::Write),
        forward().prop_map(RequestBody::Forward),
        Just(RequestBody::MergeBuckets(samples::table())),
        (any::<[u8; 16]>(), any::<bool>()).prop_map(|(secret, is_late)| {
            let (layout, table) = (samples::layout(), samples::table());
            RequestBody::Join(Box::new(Join { layout, secret, table, is_late }))
        }),
        (".{0,9}", key(), read_options()).prop_map(|(bucket, key, options)| RequestBody::Get(Get {
            bucket,
            key,
            options
        })),
        (".{0,9}", key(), content(), replace(), write_options()).prop_map(
            |(bucket, key, content, replace, options)| {
                RequestBody::Put(Put { bucket, key, content, replace, options })
            }
        ),
        (".{0,9}", vec(key(), 0..5), read_options())
            .prop_map(|(bucket, keys, options)| RequestBody::GetMany(GetMany { bucket, keys, options })),
        (".{0,9}", puts, write_options()).prop_map(|(bucket, puts, options)| RequestBody::PutMany(PutMany {
            bucket,
            puts,
            options
        })),
        Just(RequestBody::Cluster),
        Just(RequestBody::Status),
        Just(RequestBody::Init),
        change.prop_map(RequestBody::ChangeBucket),
        range_item().prop_map(RequestBody::ReadRange),
        scan().prop_map(RequestBody::Scan),
        vec(any::<u8>(), 0..20).prop_map(|packet| RequestBody::Gossip(packet.into())),
        any::<u32>().prop_map(|bucket| RequestBody::Partitions(BucketId(bucket))),
        Just(RequestBody::Repair),
        vec(trees::leaf(), 0..5).prop_map(RequestBody::Count),
        vec(trees::clear_item(), 0..5).prop_map(RequestBody::Clear),
        vec(trees::compare_item(), 0..5).prop_map(RequestBody::Compare),
    ]
}

fn explain() -> impl Strategy<Value = Explain> {
    let version = (dot(), any::<u64>(), any::<Option<usize>>(), any::<Option<u64>>(), any::<bool>());
    let version = version.prop_map(|(dot, stamp, value_bytes, expires_at_ms, won)| ExplainedVersion {
        dot,
        stamp: Stamp(stamp),
        value_bytes,
        expires_at_ms,
        won,
    });
    let state = prop_oneof![
        Just(ReplicaState::NotAsked),
        Just(ReplicaState::Waiting),
        Just(ReplicaState::Answered),
        Just(ReplicaState::Recovering),
        any::<u64>().prop_map(|life| ReplicaState::Committed(Incarnation(life))),
        kind().prop_map(ReplicaState::Failed),
    ];
    let replica = ((any::<u64>(), any::<bool>()), state, vec(version, 0..4), any::<bool>());
    let replica = replica.prop_map(|((node, is_owner), state, versions, repaired)| ExplainedReplica {
        node: NodeId(node),
        is_owner,
        state,
        versions,
        repaired,
    });
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u8>());
    let decision = prop_oneof![
        proptest::sample::select(samples::decisions()),
        ".{0,12}".prop_map(Decision::Kept),
        ".{0,12}".prop_map(Decision::Combined),
    ];
    (numbers, vec(replica, 0..4), decision).prop_map(
        |((coordinator, token, partition, layout, needed), replicas, decision)| Explain {
            coordinator: NodeId(coordinator),
            token: Token(token),
            partition: PartitionId(partition),
            layout,
            needed,
            replicas,
            decision,
        },
    )
}

fn explained() -> impl Strategy<Value = Option<Box<Explain>>> {
    option::of(explain().prop_map(Box::new))
}

fn get_answer() -> impl Strategy<Value = GetAnswer> {
    let sibling = (blob(), dot(), any::<u64>(), any::<Option<u64>>());
    let sibling = sibling.prop_map(|(value, dot, stamp, expires_at_ms)| Sibling {
        value,
        dot,
        stamp: Stamp(stamp),
        expires_at_ms,
    });
    (vec(sibling, 0..4), token(), any::<u8>(), explained())
        .prop_map(|(values, context, stand_ins, explain)| GetAnswer { values, context, stand_ins, explain })
}

fn got() -> impl Strategy<Value = Result<GetAnswer, Error>> {
    prop_oneof![get_answer().prop_map(Ok), error().prop_map(Err)]
}

fn put_result() -> impl Strategy<Value = PutResult> {
    let ack = (any::<u64>(), any::<u64>(), durability(), option::of(any::<u64>()));
    let ack = ack.prop_map(|(node, life, durability, owner)| Ack {
        node: NodeId(node),
        incarnation: Incarnation(life),
        durability,
        stands_for: owner.map(NodeId),
    });
    let applied = (option::of(dot()), token(), vec(ack, 0..4), any::<u8>(), explained());
    prop_oneof![
        applied.prop_map(|(dot, context, acks, stand_ins_read, explain)| PutResult::Applied(PutApplied {
            dot,
            context,
            acks,
            stand_ins_read,
            explain
        })),
        error().prop_map(PutResult::NotApplied),
        error().prop_map(PutResult::Indeterminate),
    ]
}

fn answer() -> impl Strategy<Value = AnswerBody> {
    let read = prop_oneof![
        any::<u64>().prop_map(|epoch| ReadAnswer::Absent(crate::ids::Epoch(epoch))),
        Just(ReadAnswer::Unchanged),
        (trees::provenance(), blob()).prop_map(|(read, record)| ReadAnswer::Record(read, record)),
        (any::<u64>(), trees::provenance(), blob())
            .prop_map(|(damage, read, record)| ReadAnswer::Recovering(damage, read, record)),
        any::<u64>().prop_map(ReadAnswer::Damaged),
        kind().prop_map(ReadAnswer::Refused),
    ];
    let write = prop_oneof![
        durability().prop_map(WriteAnswer::Committed),
        kind().prop_map(WriteAnswer::Refused),
        Just(WriteAnswer::Unknown)
    ];
    prop_oneof![
        error().prop_map(AnswerBody::Refused),
        vec(read, 0..6).prop_map(AnswerBody::Read),
        vec(write, 0..6).prop_map(AnswerBody::Write),
        put_result().prop_map(|result| AnswerBody::Forward(ForwardAnswer { result })),
        Just(AnswerBody::Buckets(samples::table())),
        Just(AnswerBody::Done),
        got().prop_map(AnswerBody::Get),
        put_result().prop_map(AnswerBody::Put),
        vec(got(), 0..4).prop_map(AnswerBody::GetMany),
        vec(put_result(), 0..4).prop_map(AnswerBody::PutMany),
        Just(AnswerBody::Status(Box::new(samples::status()))),
        range_answer().prop_map(AnswerBody::Range),
        scanned().prop_map(AnswerBody::Scan),
        vec(Just(samples::trees::partition_status()), 0..4).prop_map(AnswerBody::Partitions),
        any::<u64>().prop_map(AnswerBody::Repair),
        vec(trees::leaf_count(), 0..4).prop_map(AnswerBody::Counted),
        vec(any::<bool>(), 0..4).prop_map(AnswerBody::Cleared),
        vec(trees::compare_answer(), 0..4).prop_map(AnswerBody::Compared),
    ]
}

fn header() -> impl Strategy<Value = Header> {
    (any::<u128>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(cluster, layout, incarnation, clock, buckets, trace)| Header {
            cluster: ClusterId(cluster),
            layout,
            incarnation: Incarnation(incarnation),
            clock: Stamp(clock),
            buckets,
            trace: TraceId(trace),
        },
    )
}

proptest! {
    #[test]
    fn requests_round_trip(header in header(), body in request()) {
        let request = Request { header, body };
        prop_assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }

    #[test]
    fn answers_round_trip(header in header(), body in answer()) {
        let answer = Answer { header, body };
        prop_assert_eq!(decode_answer(&encode_answer(&answer)), Ok(answer));
    }
}
