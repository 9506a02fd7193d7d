//! SCAN. Its cursors are places in the hash space, so that no node remembers them, and any node goes on with any of them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kv_core::command::{Scan, ScanPosition};
use kv_core::ids::Token;
use kv_core::limits::KEY_BYTES_MAX;

use crate::node::Node;
use crate::resp::glob::Glob;
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::resp::session::{Execution, Session, failure};

/// Tokens that share a cursor, as a power of two: cursors stay below 2^53, which every client can hold.
const SLOT_BITS: u32 = 11;

/// Keys that a page has unless it is told.
const COUNT: usize = 10;

/// Most parts of the hash space that one page goes through to find keys.
const RANGES_MAX: usize = 64;

/// Longest that a command goes on to find keys, if it has got on at all.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Keys of one page of a node.
const PAGE_KEYS: u32 = 1_000;

/// So many keys are compared with a pattern before others have their turn.
const KEYS_AT_A_TIME: usize = 64;

/// Longest pattern: that of the longest key, each of its bytes behind a backslash.
const PATTERN_BYTES_MAX: usize = 2 * KEY_BYTES_MAX;

/// About the most keys that a page has, however many are asked for; no more may have tokens that share a cursor.
const KEYS_MAX: usize = 100_000;

/// What a SCAN asks for.
struct Wanted {
    cursor: u64,
    count: usize,
    glob: Option<Glob>,
    strings: bool,
}

pub(super) fn scan(session: &mut Session, request: &Request) -> Execution {
    let wanted = match wanted(request) {
        Ok(wanted) => wanted,
        Err(reply) => return reply.into(),
    };
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    Execution::later(async move { pages(&node, &bucket, wanted).await.unwrap_or_else(|error| error) })
}

/// Goes through parts of the hash space until there are as many keys as are wanted.
async fn pages(node: &Node, bucket: &str, wanted: Wanted) -> Result<Reply, Reply> {
    let prefix = wanted.glob.as_ref().map(Glob::prefix).unwrap_or_default();
    let mut scan = Scan::new(bucket).with_prefix(prefix);
    scan.from = ScanPosition::at(Token(wanted.cursor << SLOT_BITS));
    let (mut keys, mut seen, begun) = (Vec::new(), 0_usize, Instant::now());
    for range in 1.. {
        // Behind a slot that is gone through in part nothing less than its end will do.
        let missing = wanted.count.saturating_sub(seen);
        scan.limit = if missing == 0 { PAGE_KEYS } else { u32::try_from(missing).unwrap_or(PAGE_KEYS) };
        let page = node.scan(scan.clone()).await.map_err(|error| failure(&error))?;
        seen += page.entries.len();
        for some in page.entries.chunks(KEYS_AT_A_TIME) {
            let fitting = some.iter().filter(|entry| wanted.fits(entry.key.as_bytes()));
            keys.extend(fitting.map(|entry| Bytes::from(entry.key.clone())));
            // A page that lies on this node, and a pattern that is hard to fit, must not keep the others of its thread waiting.
            tokio::task::yield_now().await;
        }
        let Some(next) = page.next else { return Ok(found(0, keys, wanted.strings)) };
        let cursor = next.token.0 >> SLOT_BITS;
        let is_full =
            seen >= wanted.count.min(KEYS_MAX) || range >= RANGES_MAX || begun.elapsed() >= TIME_MAX;
        // Keys of a slot that is gone through in part come again: Redis allows it. But a page has to get on.
        if is_full && cursor > wanted.cursor {
            return Ok(found(cursor, keys, wanted.strings));
        }
        if seen > KEYS_MAX {
            return Err(Reply::error(
                "too many keys have the same place for a cursor: read them with kv scan",
            ));
        }
        scan.from = next;
        tokio::task::yield_now().await;
    }
    unreachable!("the hash space ends")
}

impl Wanted {
    fn fits(&self, key: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.fits(key))
    }
}

fn found(cursor: u64, keys: Vec<Bytes>, strings: bool) -> Reply {
    let keys = if strings { keys } else { Vec::new() };
    Reply::Array(vec![
        Reply::text(cursor.to_string()),
        Reply::Array(keys.into_iter().map(Reply::Bulk).collect()),
    ])
}

fn wanted(request: &Request) -> Result<Wanted, Reply> {
    let number = |word: &[u8]| {
        let digits = std::str::from_utf8(word).ok().filter(|word| !word.starts_with('+'));
        digits.and_then(|word| word.parse::<u64>().ok())
    };
    let cursor = number(request.word(1)).filter(|cursor| *cursor < 1 << (u64::BITS - SLOT_BITS));
    let cursor = cursor.ok_or_else(|| Reply::error("invalid cursor"))?;
    let mut wanted = Wanted { cursor, count: COUNT, glob: None, strings: true };
    for place in (2..request.len()).step_by(2) {
        if place + 1 == request.len() {
            return Err(Reply::error("syntax error"));
        }
        let value = request.word(place + 1);
        match &*request.word(place).to_ascii_uppercase() {
            b"MATCH" if value.len() > PATTERN_BYTES_MAX => {
                return Err(Reply::error(format_args!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
            }
            b"MATCH" => wanted.glob = Some(Glob::new(value)),
            b"TYPE" => wanted.strings = value.eq_ignore_ascii_case(b"string"),
            b"COUNT" => match number(value) {
                Some(0) => return Err(Reply::error("syntax error")),
                Some(count) => wanted.count = usize::try_from(count).unwrap_or(usize::MAX),
                None => return Err(Reply::error("value is not an integer or out of range")),
            },
            _ => return Err(Reply::error("syntax error")),
        }
    }
    Ok(wanted)
}
