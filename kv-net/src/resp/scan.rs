//! SCAN. Its cursors are places in the hash space, so that no node remembers them, and any node goes on with any of them.

use kv_core::command::{Scan, ScanPosition};
use kv_core::ids::Token;

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
    Execution::later(async move {
        let prefix = wanted.glob.as_ref().map(Glob::prefix).unwrap_or_default();
        let mut scan = Scan::new(&*bucket).with_prefix(prefix);
        scan.from = ScanPosition::at(Token(wanted.cursor << SLOT_BITS));
        let (mut keys, mut seen) = (Vec::new(), 0);
        for range in 1.. {
            scan.limit = u32::try_from(wanted.count.saturating_sub(seen).max(1)).unwrap_or(u32::MAX);
            let page = match node.scan(scan.clone()).await {
                Ok(page) => page,
                Err(error) => return failure(&error),
            };
            seen += page.entries.len();
            let fitting = page.entries.into_iter().map(|entry| bytes::Bytes::from(entry.key));
            keys.extend(fitting.filter(|key| wanted.glob.as_ref().is_none_or(|glob| glob.fits(key))));
            let Some(next) = page.next else { return found(0, keys, wanted.strings) };
            let cursor = next.token.0 >> SLOT_BITS;
            // Keys of a slot that is gone through in part come again: Redis allows it. But a page has to get on.
            let is_full = seen >= wanted.count || range >= RANGES_MAX || keys.len() >= KEYS_MAX;
            if is_full && cursor > wanted.cursor {
                return found(cursor, keys, wanted.strings);
            }
            if keys.len() > KEYS_MAX {
                return Reply::error(
                    "too many keys have the same place for a cursor: read them with kv scan",
                );
            }
            scan.from = next;
        }
        unreachable!("the hash space ends")
    })
}

fn found(cursor: u64, keys: Vec<bytes::Bytes>, strings: bool) -> Reply {
    let keys = if strings { keys } else { Vec::new() };
    Reply::Array(vec![
        Reply::text(cursor.to_string()),
        Reply::Array(keys.into_iter().map(Reply::Bulk).collect()),
    ])
}

fn wanted(request: &Request) -> Result<Wanted, Reply> {
    let number = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|word| word.parse::<u64>().ok());
    let cursor = number(request.word(1)).filter(|cursor| *cursor < 1 << (u64::BITS - SLOT_BITS));
    let cursor = cursor.ok_or_else(|| Reply::error("invalid cursor"))?;
    let mut wanted = Wanted { cursor, count: COUNT, glob: None, strings: true };
    for place in (2..request.len()).step_by(2) {
        if place + 1 == request.len() {
            return Err(Reply::error("syntax error"));
        }
        let value = request.word(place + 1);
        match &*request.word(place).to_ascii_uppercase() {
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
