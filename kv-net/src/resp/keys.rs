//! Commands on keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kv_core::command::{
    Content, Get, GetAnswer, GetMany, Put, PutMany, PutResult, ReadOptions, Replace, WriteOptions,
};
use kv_core::key::Key;

use crate::node::Node;
use crate::resp::moment::SetOptions;
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::resp::session::{Execution, Session, failure, key, unknown};

/// The one value of an answer, if there is one.
pub(super) fn single(answer: GetAnswer) -> Result<Option<Bytes>, Reply> {
    let count = answer.values.len();
    if count > 1 {
        let what = format!("SIBLINGS the key has {count} concurrent values: read them with KV.GET");
        return Err(Reply::Error(what));
    }
    Ok(answer.values.into_iter().next().map(|sibling| sibling.value))
}

fn read(
    session: &Session,
    request: &Request,
    show: impl FnOnce(Option<Bytes>) -> Reply + Send + 'static,
) -> Execution {
    let key = match key(request.bytes(1)) {
        Ok(key) => key,
        Err(reply) => return reply.into(),
    };
    let (node, get) = (session.door.node.clone(), Get::new(&*session.bucket, key));
    Execution::later(async move {
        match node.get(get).await.map_err(|error| failure(&error)).and_then(single) {
            Ok(value) => show(value),
            Err(reply) => reply,
        }
    })
}

pub(super) fn get(session: &mut Session, request: &Request) -> Execution {
    read(session, request, |value| value.map_or(Reply::Null, Reply::Bulk))
}

pub(super) fn strlen(session: &mut Session, request: &Request) -> Execution {
    read(session, request, |value| Reply::Integer(value.map_or(0, |value| value.len() as i64)))
}

pub(super) fn kind(session: &mut Session, request: &Request) -> Execution {
    read(session, request, |value| Reply::Simple(if value.is_some() { "string" } else { "none" }.into()))
}

pub(super) fn set(session: &mut Session, request: &Request) -> Execution {
    let options = match SetOptions::read(request) {
        Ok(options) => options,
        Err(reply) => return reply.into(),
    };
    let key = match key(request.bytes(1)) {
        Ok(key) => key,
        Err(reply) => return reply.into(),
    };
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    let put = Put::new(&*bucket, key, request.bytes(2)).expiring(options.expires());
    if !options.wants_old {
        return Execution::Put(node.begin_put(put));
    }
    Execution::later(async move {
        let answer = match node.get(Get::new(&*bucket, put.key.clone())).await {
            Ok(answer) => answer,
            Err(error) => return failure(&error),
        };
        let put = put.expiring(options.expires_after(&answer)).with_context(answer.context.clone());
        let old = match single(answer) {
            Ok(value) => value,
            Err(reply) => return reply,
        };
        match written(node.put(put).await) {
            Ok(()) => old.map_or(Reply::Null, Reply::Bulk),
            Err(reply) => reply,
        }
    })
}

pub(super) fn written(result: PutResult) -> Result<(), Reply> {
    match result {
        PutResult::Applied(_) => Ok(()),
        PutResult::NotApplied(error) => Err(failure(&error)),
        PutResult::Indeterminate(error) => Err(unknown(&error)),
    }
}

fn all_keys(request: &Request, step: usize) -> Result<Vec<Key>, Reply> {
    (1..request.len()).step_by(step).map(|place| key(request.bytes(place))).collect()
}

/// Keys of a command that are read at a time.
const KEYS_AT_A_TIME: usize = 64;

/// Reads keys and shows what was found, some at a time: what is found may be large, and need not be kept.
async fn get_all(
    node: &Arc<Node>,
    bucket: &str,
    keys: &[Key],
    mut show: impl FnMut(GetAnswer) -> Result<(), Reply>,
) -> Result<(), Reply> {
    for some in keys.chunks(KEYS_AT_A_TIME) {
        let get = GetMany { bucket: bucket.into(), keys: some.to_vec(), options: ReadOptions::default() };
        for answer in node.get_many(get).await.map_err(|error| failure(&error))? {
            show(answer.map_err(|error| failure(&error))?)?;
        }
    }
    Ok(())
}

pub(super) fn mget(session: &mut Session, request: &Request) -> Execution {
    let keys = match all_keys(request, 1) {
        Ok(keys) => keys,
        Err(reply) => return reply.into(),
    };
    let (door, bucket) = (session.door.clone(), session.bucket.clone());
    Execution::later(async move {
        let (mut replies, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        let got = get_all(&door.node, &bucket, &keys, |answer| {
            let value = single(answer)?;
            bytes += value.as_ref().map_or(0, Bytes::len);
            replies.push(value.map_or(Reply::Null, Reply::Bulk));
            match bytes > door.reply_bytes_max {
                true => Err(Reply::error(format_args!(
                    "the values have more than {} bytes together: get fewer keys at a time",
                    door.reply_bytes_max
                ))),
                false => Ok(()),
            }
        });
        got.await.map_or_else(|reply| reply, |()| Reply::Array(replies))
    })
}

pub(super) fn exists(session: &mut Session, request: &Request) -> Execution {
    let keys = match all_keys(request, 1) {
        Ok(keys) => keys,
        Err(reply) => return reply.into(),
    };
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    Execution::later(async move {
        let mut count = 0;
        let got = get_all(&node, &bucket, &keys, |answer| {
            count += i64::from(!answer.values.is_empty());
            Ok(())
        });
        got.await.map_or_else(|reply| reply, |()| Reply::Integer(count))
    })
}

pub(super) fn mset(session: &mut Session, request: &Request) -> Execution {
    if request.len().is_multiple_of(2) {
        return Reply::error("wrong number of arguments for 'mset' command").into();
    }
    let keys = match all_keys(request, 2) {
        Ok(keys) => keys,
        Err(reply) => return reply.into(),
    };
    let values = (2..request.len()).step_by(2).map(|place| Content::value(request.bytes(place)));
    // Of a key that is named twice the last value counts, and would otherwise be a sibling of the first.
    let last: BTreeMap<Key, Content> = keys.into_iter().zip(values).collect();
    let puts = last.into_iter().map(|(key, value)| (key, value, Replace::Overwrite)).collect();
    let put = PutMany { bucket: session.bucket.to_string(), puts, options: WriteOptions::default() };
    let node = session.door.node.clone();
    Execution::later(async move {
        match node.put_many(put).await {
            Ok(results) => all_written(results).map_or_else(|reply| reply, |()| Reply::OK),
            Err(error) => failure(&error),
        }
    })
}

/// One error for all that were not written: the worst, with their number.
fn all_written(results: Vec<PutResult>) -> Result<(), Reply> {
    let count = results.len();
    let (mut failed, mut worst) = (0, None);
    for result in results {
        // What may have happened is worse than what is in vain, and that worse than what may be tried again.
        let rank = match &result {
            PutResult::Applied(_) => continue,
            PutResult::Indeterminate(_) => 3,
            PutResult::NotApplied(error) if error.is_retryable() => 1,
            PutResult::NotApplied(_) => 2,
        };
        failed += 1;
        if let Err(reply) = written(result)
            && worst.as_ref().is_none_or(|(before, _)| *before < rank)
        {
            worst = Some((rank, reply));
        }
    }
    match worst {
        None => Ok(()),
        Some((_, Reply::Error(text))) => Err(Reply::Error(format!("{text} ({failed} of {count} keys)"))),
        Some((_, reply)) => Err(reply),
    }
}

pub(super) fn del(session: &mut Session, request: &Request) -> Execution {
    let mut keys = match all_keys(request, 1) {
        Ok(keys) => keys,
        Err(reply) => return reply.into(),
    };
    // A key that is named twice is there once.
    keys.sort();
    keys.dedup();
    let (node, bucket) = (session.door.node.clone(), session.bucket.clone());
    Execution::later(async move {
        let mut count = 0;
        for some in keys.chunks(KEYS_AT_A_TIME) {
            match delete(&node, &bucket, some).await {
                Ok(deleted) => count += deleted,
                Err(reply) => return reply,
            }
        }
        Reply::Integer(count)
    })
}

/// Deletes what is there, and says how many keys that were.
async fn delete(node: &Arc<Node>, bucket: &str, keys: &[Key]) -> Result<i64, Reply> {
    let mut contexts = Vec::with_capacity(keys.len());
    get_all(node, bucket, keys, |answer| {
        contexts.push((!answer.values.is_empty()).then_some(answer.context));
        Ok(())
    })
    .await?;
    let there = keys.iter().zip(contexts).filter_map(|(key, context)| Some((key.clone(), context?)));
    let puts: Vec<_> =
        there.map(|(key, context)| (key, Content::Tombstone, Replace::Context(context))).collect();
    if puts.is_empty() {
        return Ok(0);
    }
    let count = puts.len() as i64;
    let put = PutMany { bucket: bucket.to_string(), puts, options: WriteOptions::default() };
    let results = node.put_many(put).await.map_err(|error| failure(&error))?;
    all_written(results).map(|()| count)
}
