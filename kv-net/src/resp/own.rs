//! Commands that Redis does not have: concurrent values, contexts and consistency by request.

use bytes::Bytes;
use kv_core::bucket::Quorum;
use kv_core::causality::ContextToken;
use kv_core::command::{Get, Put, PutResult, Replace};

use crate::resp::reply::Reply;
use crate::resp::request::{Request, integer};
use crate::resp::session::{Execution, Session, failure, key, unknown};

/// What may stand behind the words that a command needs.
#[derive(Debug, Default)]
struct Options {
    context: Option<ContextToken>,
    blind: bool,
    w: Option<Quorum>,
    r: Option<Quorum>,
    timeout_ms: Option<u32>,
}

impl Options {
    fn read(request: &Request, from: usize, allowed: &[&str]) -> Result<Options, Reply> {
        let mut options = Options::default();
        let mut place = from;
        while place < request.len() {
            let name = String::from_utf8_lossy(request.word(place)).to_ascii_uppercase();
            if !allowed.contains(&&*name) {
                return Err(Reply::error(format_args!(
                    "unknown option '{name}': {} may stand here",
                    allowed.join(", ")
                )));
            }
            if name == "BLIND" {
                options.blind = true;
                place += 1;
                continue;
            }
            if place + 1 >= request.len() {
                return Err(Reply::error(format_args!("option {name} needs a value")));
            }
            let value = request.bytes(place + 1);
            match &*name {
                "CONTEXT" => options.context = Some(unhex(&value)?),
                "W" => options.w = Some(quorum(&name, &value)?),
                "R" => options.r = Some(quorum(&name, &value)?),
                _ => {
                    let millis = integer(&value).and_then(|millis| u32::try_from(millis).ok());
                    let bad = || Reply::error("TIMEOUT takes milliseconds from 1");
                    options.timeout_ms = Some(millis.filter(|millis| *millis > 0).ok_or_else(bad)?);
                }
            }
            place += 2;
        }
        Ok(options)
    }
}

fn quorum(name: &str, value: &[u8]) -> Result<Quorum, Reply> {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    text.parse().map_err(|error| Reply::error(format_args!("{name}: {error}")))
}

/// Contexts are written in hexadecimal digits, so that they can be typed.
fn hex(token: &ContextToken) -> Reply {
    Reply::text(token.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn unhex(digits: &Bytes) -> Result<ContextToken, Reply> {
    let bad = || Reply::error("a context is an even number of hexadecimal digits, as KV.GET gives it");
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2 && !text.starts_with('+'))?;
        u8::from_str_radix(text, 16).ok()
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    Ok(ContextToken::from_bytes(bytes.ok_or_else(bad)?))
}

/// Values and context of a key.
pub(super) fn get(session: &mut Session, request: &Request) -> Execution {
    let made = key(request.bytes(1)).and_then(|key| Ok((key, Options::read(request, 2, &["R", "TIMEOUT"])?)));
    let (key, options) = match made {
        Ok(made) => made,
        Err(reply) => return reply.into(),
    };
    let mut get = Get::new(&*session.bucket, key);
    (get.options.r, get.options.timeout_ms) = (options.r, options.timeout_ms);
    let node = session.door.node.clone();
    Execution::later(async move {
        match node.get(get).await {
            Ok(answer) => {
                let values = answer.values.into_iter().map(|sibling| Reply::Bulk(sibling.value)).collect();
                let context =
                    if answer.context.as_bytes().is_empty() { Reply::Null } else { hex(&answer.context) };
                Reply::Map(vec![
                    (Reply::text("values"), Reply::Array(values)),
                    (Reply::text("context"), context),
                ])
            }
            Err(error) => failure(&error),
        }
    })
}

pub(super) fn put(session: &mut Session, request: &Request) -> Execution {
    write(session, request, Some(request.bytes(2)), 3, &["CONTEXT", "BLIND", "W", "R", "TIMEOUT"])
}

pub(super) fn del(session: &mut Session, request: &Request) -> Execution {
    write(session, request, None, 2, &["CONTEXT", "W", "R", "TIMEOUT"])
}

fn write(
    session: &mut Session,
    request: &Request,
    value: Option<Bytes>,
    options_from: usize,
    allowed: &[&str],
) -> Execution {
    let made =
        key(request.bytes(1)).and_then(|key| Ok((key, Options::read(request, options_from, allowed)?)));
    let (key, options) = match made {
        Ok(made) => made,
        Err(reply) => return reply.into(),
    };
    if options.blind && options.context.is_some() {
        return Reply::error("BLIND replaces nothing and CONTEXT what was read: choose one").into();
    }
    let mut put = match value {
        Some(value) => Put::new(&*session.bucket, key, value),
        None => Put::delete(&*session.bucket, key),
    };
    put.replace = match options.context {
        Some(context) => Replace::Context(context),
        None if options.blind => Replace::Nothing,
        None => Replace::Overwrite,
    };
    (put.options.w, put.options.r, put.options.timeout_ms) = (options.w, options.r, options.timeout_ms);
    let node = session.door.node.clone();
    Execution::later(async move {
        match node.put(put).await {
            PutResult::Applied(applied) => Reply::Map(vec![
                (Reply::text("context"), hex(&applied.context)),
                (Reply::text("acknowledged"), Reply::Integer(applied.acks.len() as i64)),
            ]),
            PutResult::NotApplied(error) => failure(&error),
            PutResult::Indeterminate(error) => unknown(&error),
        }
    })
}
