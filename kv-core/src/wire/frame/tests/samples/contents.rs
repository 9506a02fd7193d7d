//! What puts write, when it expires and by what they are recognised.

use bytes::Bytes;

use super::key;
use crate::causality::Stamp;
use crate::command::{Attempt, Content, Expires, Put, WriteOptions};
use crate::record::{Draft, WriteId};
use crate::wire::RequestBody;

variants! { content_name, CONTENTS, Content:
    "value" = Content::Value(..),
    "tombstone" = Content::Tombstone,
    "same" = Content::Same(_),
}

variants! { expires_name, EXPIRES, Expires:
    "by_bucket" = Expires::ByBucket,
    "never" = Expires::Never,
    "after_ms" = Expires::AfterMs(_),
    "at_ms" = Expires::AtMs(_),
    "keep" = Expires::Keep,
}

variants! { attempt_name, ATTEMPTS, Attempt:
    "only" = Attempt::Only,
    "first" = Attempt::First(_),
    "again" = Attempt::Again(_),
}

pub(super) fn draft() -> Draft {
    Draft {
        value: Some(Bytes::from_static(b"v")),
        expires_at_ms: Some(1 << 40),
        value_stamp: Some(Stamp(5)),
        id: Some(WriteId([7; 16])),
    }
}

/// One put of each content, of each expiry and of each attempt.
pub(super) fn puts() -> Vec<(String, RequestBody)> {
    let put = |put: Put| RequestBody::Put(put);
    let same = |content| Put { content, ..Put::delete("default", key("k")) };
    let contents = [Content::value("value"), Content::Tombstone, Content::Same(Expires::Never)];
    let contents = contents
        .map(|content| (format!("request put content {}", content_name(&content)), put(same(content))));
    let moments =
        [Expires::ByBucket, Expires::Never, Expires::AfterMs(5), Expires::AtMs(1 << 40), Expires::Keep];
    let moments = moments.map(|expires| {
        (format!("request put expires {}", expires_name(&expires)), put(same(Content::Same(expires))))
    });
    let id = WriteId([3; 16]);
    let attempts = [Attempt::Only, Attempt::First(id), Attempt::Again(id)].map(|attempt| {
        let options = WriteOptions { attempt, ..WriteOptions::default() };
        let name = format!("request put attempt {}", attempt_name(&attempt));
        (name, put(Put { options, ..same(Content::Tombstone) }))
    });
    contents.into_iter().chain(moments).chain(attempts).collect()
}
