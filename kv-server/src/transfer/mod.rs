//! Data on its way in and out: keys and values as JSON lines or CSV, from files or from a Redis, with progress and from where it stopped.

mod export;
mod format;
mod import;
mod json;
mod progress;
mod read;
mod redis;
mod saved;
mod write;

pub(crate) use export::{Export, ExportError, Exported};
pub(crate) use format::Format;
pub(crate) use import::{Import, ImportError, ImportState, Imported};
pub(crate) use json::encode as encode_json;
pub(crate) use progress::Progress;
pub(crate) use read::{Batch, FileSource, Mark, Source, SourceError};
pub(crate) use redis::RedisSource;
pub(crate) use saved::Saved;
pub(crate) use write::FileSink;

use bytes::Bytes;
use kv_core::command::{Content, Expires, Sibling};
use kv_core::key::Key;

/// A key and its concurrent values: one, usually.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) values: Vec<EntryValue>,
}

/// A value, and when it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryValue {
    pub(crate) bytes: Bytes,
    /// In milliseconds since 1970; none if nothing is said of it.
    pub(crate) expires_at_ms: Option<u64>,
}

impl EntryValue {
    /// What a put of it writes: where nothing is said it expires as the bucket says.
    pub(crate) fn content(&self) -> Content {
        let expires = self.expires_at_ms.map_or(Expires::ByBucket, Expires::AtMs);
        Content::Value(self.bytes.clone(), expires)
    }
}

impl From<Bytes> for EntryValue {
    fn from(bytes: Bytes) -> Self {
        EntryValue { bytes, expires_at_ms: None }
    }
}

impl From<Sibling> for EntryValue {
    fn from(sibling: Sibling) -> Self {
        EntryValue { bytes: sibling.value, expires_at_ms: sibling.expires_at_ms }
    }
}
