//! When keys expire.

use std::sync::Arc;

use kv_core::command::{Expires, Get, Put, PutResult};

use crate::node::{Node, wall_ms};
use crate::resp::keys::{single, written};
use crate::resp::moment::{EX, EXAT, Form, PX, PXAT, expires_at_ms};
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::resp::server::text;
use crate::resp::session::{Execution, Session, failure, key};

pub(super) fn expire(session: &mut Session, request: &Request) -> Execution {
    change(session, request, EX)
}

pub(super) fn pexpire(session: &mut Session, request: &Request) -> Execution {
    change(session, request, PX)
}

pub(super) fn expireat(session: &mut Session, request: &Request) -> Execution {
    change(session, request, EXAT)
}

pub(super) fn pexpireat(session: &mut Session, request: &Request) -> Execution {
    change(session, request, PXAT)
}

fn change(session: &Session, request: &Request, form: Form) -> Execution {
    let command = text(request.word(0)).to_ascii_lowercase();
    if let Some(option) = request.words_from(3).next() {
        let option = text(option);
        return match &*option.to_ascii_uppercase() {
            name @ ("NX" | "XX" | "GT" | "LT") => Reply::error(format_args!(
                "{} with {name} is refused: a bucket with quorums does not have atomicity",
                command.to_ascii_uppercase()
            )),
            _ => Reply::error(format_args!("Unsupported option {option}")),
        }
        .into();
    }
    let made = form.of_key(request.word(2), &command).and_then(|when| Ok((key(request.bytes(1))?, when)));
    let (key, expires) = match made {
        Ok(made) => made,
        Err(reply) => return reply.into(),
    };
    let (node, put) = (session.door.node.clone(), Put::expire(&*session.bucket, key, expires));
    Execution::later(async move { changed(node.put(put).await) })
}

/// Whether there was a value whose expiry changed.
fn changed(result: PutResult) -> Reply {
    let found = matches!(&result, PutResult::Applied(applied) if applied.dot.is_some());
    written(result).map_or_else(|reply| reply, |()| Reply::Integer(found.into()))
}

pub(super) fn persist(session: &mut Session, request: &Request) -> Execution {
    let key = match key(request.bytes(1)) {
        Ok(key) => key,
        Err(reply) => return reply.into(),
    };
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    Execution::later(async move {
        match moment(&node, Get::new(&*bucket, key.clone())).await {
            Ok(Some(Some(_))) => changed(node.put(Put::expire(&*bucket, key, Expires::Never)).await),
            Ok(_) => Reply::Integer(0),
            Err(reply) => reply,
        }
    })
}

/// When the value of a key expires, if there is one and if it does.
async fn moment(node: &Arc<Node>, get: Get) -> Result<Option<Option<u64>>, Reply> {
    let answer = node.get(get).await.map_err(|error| failure(&error))?;
    let expires_at_ms = expires_at_ms(&answer);
    Ok(single(answer)?.map(|_| expires_at_ms))
}

pub(super) fn ttl(session: &mut Session, request: &Request) -> Execution {
    tell(session, request, |at_ms| round(at_ms.saturating_sub(wall_ms())))
}

pub(super) fn pttl(session: &mut Session, request: &Request) -> Execution {
    tell(session, request, |at_ms| at_ms.saturating_sub(wall_ms()))
}

pub(super) fn expiretime(session: &mut Session, request: &Request) -> Execution {
    tell(session, request, round)
}

pub(super) fn pexpiretime(session: &mut Session, request: &Request) -> Execution {
    tell(session, request, |at_ms| at_ms)
}

/// Milliseconds as seconds, as Redis rounds them.
fn round(ms: u64) -> u64 {
    ms.saturating_add(500) / 1_000
}

fn tell(session: &Session, request: &Request, show: fn(u64) -> u64) -> Execution {
    let key = match key(request.bytes(1)) {
        Ok(key) => key,
        Err(reply) => return reply.into(),
    };
    let (node, get) = (session.door.node.clone(), Get::new(&*session.bucket, key));
    Execution::later(async move {
        match moment(&node, get).await {
            Ok(None) => Reply::Integer(-2),
            Ok(Some(None)) => Reply::Integer(-1),
            Ok(Some(Some(at_ms))) => Reply::Integer(show(at_ms) as i64),
            Err(reply) => reply,
        }
    })
}

pub(super) fn setex(session: &mut Session, request: &Request) -> Execution {
    write(session, request, EX)
}

pub(super) fn psetex(session: &mut Session, request: &Request) -> Execution {
    write(session, request, PX)
}

fn write(session: &Session, request: &Request, form: Form) -> Execution {
    let command = text(request.word(0)).to_ascii_lowercase();
    let made = form.of_value(request.word(2), &command).and_then(|when| Ok((key(request.bytes(1))?, when)));
    match made {
        Ok((key, expires)) => {
            let put = Put::new(&*session.bucket, key, request.bytes(3)).expiring(expires);
            Execution::Put(session.door.node.begin_put(put))
        }
        Err(reply) => reply.into(),
    }
}

/// Reads a value and changes when it expires.
pub(super) fn getex(session: &mut Session, request: &Request) -> Execution {
    let option = request.word(2).to_ascii_uppercase();
    let expires = match (Form::of(&option), &*option, request.len()) {
        (_, _, 2) => Ok(None),
        (None, b"PERSIST", 3) => Ok(Some(Expires::Never)),
        (Some(form), _, 4) => form.of_value(request.word(3), "getex").map(Some),
        _ => Err(Reply::error("syntax error")),
    };
    let (key, expires) = match expires.and_then(|expires| Ok((key(request.bytes(1))?, expires))) {
        Ok(made) => made,
        Err(reply) => return reply.into(),
    };
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    Execution::later(async move {
        let answer = match node.get(Get::new(&*bucket, key.clone())).await {
            Ok(answer) => answer,
            Err(error) => return failure(&error),
        };
        let lives_for_ever = expires_at_ms(&answer).is_none();
        let value = match single(answer) {
            Ok(Some(value)) => value,
            Ok(None) => return Reply::Null,
            Err(reply) => return reply,
        };
        let change = expires.filter(|expires| !(lives_for_ever && *expires == Expires::Never));
        if let Some(expires) = change
            && let Err(reply) = written(node.put(Put::expire(&*bucket, key, expires)).await)
        {
            return reply;
        }
        Reply::Bulk(value)
    })
}
