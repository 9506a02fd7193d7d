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
use kv_core::key::Key;

/// A key and its concurrent values: one, usually.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) values: Vec<Bytes>,
}
