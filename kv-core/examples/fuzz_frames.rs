//! Throws mutated bytes at everything in the core that decodes bytes of others: requests, answers, records, cells, contexts.
//!
//! ```text
//! cargo run --release -p kv-core --features testing --example fuzz_frames -- --executions 1000000 --seed 1
//! cargo run --release -p kv-core --features testing --example fuzz_frames -- --seconds 60
//! ```
//!
//! Ends with an error at the first panic, or at the first input that decodes to something that does not come back as it was;
//! seed and number of the execution find it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kv_core::bucket::{BucketTable, Quorum};
use kv_core::causality::{Actor, Context, ContextToken, Dot, DotSet, Stamp};
use kv_core::command::{
    Content, Get, GetAnswer, GetMany, Put, PutMany, PutResult, ReadOptions, Replace, WriteOptions,
};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{BucketId, ClusterId, Incarnation, NodeId, TraceId};
use kv_core::key::Key;
use kv_core::record::{
    Cell, CellView, EncodedRecord, OwnActor, PastNames, Provenance, Record, RecoveringMark, Sinces, Version,
};
use kv_core::resolver::KeepSiblings;
use kv_core::storage::Durability;
use kv_core::wire::{
    Answer, AnswerBody, Header, Heal, ReadAnswer, ReadItem, Request, RequestBody, Source, WriteAnswer,
    WriteItem, decode_answer, decode_request, encode_answer, encode_request,
};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BUCKET: BucketId = BucketId(1);
const SECRET: [u8; 16] = *b"0123456789abcdef";
const STORAGE_KEY: &[u8] = b"storage key";

fn main() -> ExitCode {
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\nusage: fuzz_frames [--seed N] [--executions N] [--seconds N]");
            return ExitCode::from(2);
        }
    };
    match fuzz(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    seed: u64,
    executions: u64,
    seconds: u64,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options { seed: 1, executions: u64::MAX, seconds: u64::MAX };
        while let Some(name) = arguments.next() {
            let value = arguments.next().and_then(|value| value.parse().ok());
            let value = value.ok_or_else(|| format!("{name} needs a number"))?;
            match name.as_str() {
                "--seed" => options.seed = value,
                "--executions" => options.executions = value,
                "--seconds" => options.seconds = value,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        if options.executions == u64::MAX && options.seconds == u64::MAX {
            options.executions = 1_000_000;
        }
        Ok(options)
    }
}

fn fuzz(options: &Options) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let corpus = corpus()?;
    let start = Instant::now();
    let limit = Duration::from_secs(options.seconds.min(1 << 30));
    let (mut executions, mut understood) = (0u64, 0u64);
    while executions < options.executions && (executions % 1_024 != 0 || start.elapsed() < limit) {
        let input = mutated(&mut random, &corpus);
        let outcome = catch_unwind(AssertUnwindSafe(|| execute(&input)));
        let describe = |what: &str| {
            let seed = options.seed;
            format!("{what} in execution {executions} of seed {seed}: {}", input.escape_ascii())
        };
        match outcome {
            Ok(Ok(count)) => understood += count,
            Ok(Err(what)) => return Err(describe(what)),
            Err(_) => return Err(describe("a panic")),
        }
        executions += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{executions} executions in {seconds:.1} s, {:.0} per second, all clean; {understood} inputs were understood",
        executions as f64 / seconds.max(1e-9)
    );
    Ok(())
}

/// Decodes `input` in every way there is, and says how many of them understood it.
fn execute(input: &[u8]) -> Result<u64, &'static str> {
    let mut understood = 0;
    if let Ok(request) = decode_request(input) {
        understood += 1;
        if decode_request(&encode_request(&request)) != Ok(request) {
            return Err("a request that does not come back");
        }
    }
    if let Ok(answer) = decode_answer(input) {
        understood += 1;
        if decode_answer(&encode_answer(&answer)) != Ok(answer) {
            return Err("an answer that does not come back");
        }
    }
    let key = key();
    for sealed in [input.to_vec(), with_record_checksum(input)] {
        let Ok(encoded) = EncodedRecord::check(sealed.into(), BUCKET, &key) else { continue };
        let Ok(record) = encoded.decode() else { continue };
        understood += 1;
        if EncodedRecord::encode(&record, BUCKET, &key) != encoded {
            return Err("a record with two encodings");
        }
        if record.versions().iter().any(|version| !version.past.is_superset(&version.past)) {
            return Err("a past that does not contain itself");
        }
        let mut merged = record.clone();
        merged.merge(record.clone(), &KeepSiblings);
        merged.context();
        if merged.versions().len() > record.versions().len() {
            return Err("a record that grows when it meets itself");
        }
    }
    if let Ok(cell) = CellView::decode(input, STORAGE_KEY, BUCKET, &key) {
        understood += 1;
        if CellView::decode(&cell.to_cell().encode(STORAGE_KEY), STORAGE_KEY, BUCKET, &key) != Ok(cell) {
            return Err("a cell that does not come back");
        }
    }
    if let Ok(context) = ContextToken::from_bytes(input.to_vec()).open(&SECRET, BUCKET, &key) {
        understood += 1;
        if context.seal(&SECRET, BUCKET, &key).as_bytes() != input {
            return Err("a context with two encodings");
        }
    }
    Ok(understood)
}

fn key() -> Key {
    match Key::new(Bytes::from_static(b"key")) {
        Ok(key) => key,
        Err(_) => unreachable!("three bytes are a key"),
    }
}

/// The bytes with a record's checksum that fits, so that what is behind it is reached: a forger who knows the format can do that.
fn with_record_checksum(input: &[u8]) -> Vec<u8> {
    use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
    let content = input.get(9..).unwrap_or_default();
    let prefix = [&[1][..], &BUCKET.0.to_le_bytes(), &3u16.to_le_bytes(), b"key"].concat();
    let digest = xxh3_64_with_seed(content, xxh3_64(&prefix));
    [&[1][..], &digest.to_le_bytes(), content].concat()
}

/// One of the corpus, changed a few times.
fn mutated(random: &mut ChaCha8Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(0..6u32) {
        let place = random.random_range(0..=input.len());
        match random.random_range(0..8u32) {
            0 => input.truncate(place),
            1 => input.insert(place, random.random()),
            2 if place < input.len() => drop(input.remove(place)),
            3 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << random.random_range(0..8u32);
                }
            }
            4 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte = *[0, 1, 2, 0x7f, 0x80, 0xff].choose(random).unwrap_or(&0);
                }
            }
            5 => {
                // A number at the end of its range.
                let number: &[u8] = match random.random_range(0..3u32) {
                    0 => &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                    1 => &[0xff, 0xff, 0xff, 0xff, 0x0f],
                    _ => &[0x80, 0x00],
                };
                input.splice(place..place, number.iter().copied());
            }
            6 => {
                // A piece of another of the corpus.
                let other = corpus.choose(random).map(Vec::as_slice).unwrap_or_default();
                let from = random.random_range(0..=other.len());
                let to = random.random_range(from..=other.len());
                let piece = other.get(from..to).unwrap_or_default().to_vec();
                input.splice(place..place, piece);
            }
            _ => {
                // A piece of itself again.
                let from = random.random_range(0..=place);
                let piece = input.get(from..place).unwrap_or_default().to_vec();
                input.splice(place..place, piece);
            }
        }
        input.truncate(4_096);
    }
    input
}

/// Well-formed inputs of every kind.
fn corpus() -> Result<Vec<Vec<u8>>, String> {
    let header = Header {
        cluster: ClusterId(7),
        layout: 1,
        incarnation: Incarnation(u64::MAX / 3),
        clock: Stamp::from_millis(1_700_000_000_000),
        buckets: 5,
        trace: TraceId(0),
    };
    let record = EncodedRecord::encode(&record(), BUCKET, &key());
    let mut mark = RecoveringMark::new(7);
    mark.merged_with(NodeId(2), true);
    let own = OwnActor { actor: actor(1), counter: 3 };
    let cells = [
        Cell {
            own: None,
            recovering: None,
            sinces: Sinces::default(),
            names: PastNames::default(),
            record: record.clone(),
        },
        Cell {
            own: Some(own),
            recovering: Some(mark),
            sinces: Sinces::from_entries(vec![kv_core::ids::Epoch(3)]),
            names: PastNames::from_entries(vec![(dots(), kv_core::ids::Epoch(2))]),
            record: record.clone(),
        },
    ];
    let context = Context { dots: dots(), stamp: Stamp(99) }.seal(&SECRET, BUCKET, &key());
    let mut corpus = vec![Vec::new(), record.as_bytes().to_vec(), context.as_bytes().to_vec()];
    corpus.extend(cells.iter().map(|cell| cell.encode(STORAGE_KEY)));
    corpus.extend(requests(&record, &context).into_iter().map(|body| {
        let frame = encode_request(&Request { header, body });
        frame.to_vec()
    }));
    corpus.extend(answers(&record, &context).into_iter().map(|body| {
        let frame = encode_answer(&Answer { header, body });
        frame.to_vec()
    }));
    let understood: u64 = corpus.iter().map(|input| execute(input).unwrap_or(0)).sum();
    if understood < corpus.len() as u64 - 1 {
        return Err("the corpus itself is not understood: the fuzzer does not know the formats".into());
    }
    Ok(corpus)
}

fn actor(birth: u64) -> Actor {
    Actor { incarnation: Incarnation(0x0102_0304_0506_0708), birth }
}

fn dots() -> DotSet {
    [1, 2, 3, 7, 9].map(|counter| Dot { actor: actor(4), counter }).into_iter().collect()
}

fn record() -> Record {
    let mut record = Record::new();
    for birth in 1..4 {
        let version = Version {
            dot: Dot { actor: actor(birth), counter: birth },
            past: dots(),
            stamp: Stamp(birth << 20),
            expiry: None,
            id: None,
            value: (birth != 2).then(|| Bytes::from_static(b"value")),
        };
        record.add(version, &KeepSiblings);
    }
    record
}

fn requests(record: &EncodedRecord, context: &ContextToken) -> Vec<RequestBody> {
    let bucket = || "default".to_string();
    let read = ReadItem {
        bucket: BUCKET,
        key: key(),
        unless: Some(record.digest()),
        stand_in: false,
        repairs: false,
    };
    let write = WriteItem {
        bucket: BUCKET,
        read: Provenance::default(),
        key: key(),
        record: record.to_bytes(),
        heal: Some(Heal { damage: 7, sources: vec![Source { node: NodeId(1), complete: true }] }),
        stand_in_for: None,
    };
    let value = Bytes::from_static(b"value");
    vec![
        RequestBody::Read(vec![read.clone(), ReadItem { unless: None, ..read }]),
        RequestBody::Write(vec![write.clone(), write]),
        RequestBody::MergeBuckets(BucketTable::default()),
        RequestBody::Get(Get::new("default", key()).with_r(Quorum::Count(2))),
        RequestBody::Put(Put::new("default", key(), "value").with_context(context.clone())),
        RequestBody::GetMany(GetMany {
            bucket: bucket(),
            keys: vec![key(), key()],
            options: ReadOptions::default(),
        }),
        RequestBody::PutMany(PutMany {
            bucket: bucket(),
            puts: vec![
                (key(), Content::value(value), Replace::Overwrite),
                (key(), Content::Tombstone, Replace::Nothing),
            ],
            options: WriteOptions::default(),
        }),
        RequestBody::Cluster,
    ]
}

fn answers(record: &EncodedRecord, context: &ContextToken) -> Vec<AnswerBody> {
    let found = GetAnswer { context: context.clone(), ..GetAnswer::default() };
    let error = Error::new(ErrorKind::Unavailable, "too few replicas");
    vec![
        AnswerBody::Refused(error.clone()),
        AnswerBody::Read(vec![
            ReadAnswer::Record(Provenance::default(), record.to_bytes()),
            ReadAnswer::Absent(kv_core::ids::Epoch(3)),
            ReadAnswer::Damaged(7),
        ]),
        AnswerBody::Write(vec![
            WriteAnswer::Committed(Durability::Synced),
            WriteAnswer::Refused(ErrorKind::NotOwner),
        ]),
        AnswerBody::GetMany(vec![Ok(found), Err(error.clone())]),
        AnswerBody::PutMany(vec![PutResult::Indeterminate(error)]),
        AnswerBody::Buckets(BucketTable::default()),
        AnswerBody::Done,
    ]
}
