use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bucket::{Quorum, QuorumMode};
use crate::causality::ContextToken;
use crate::key::Key;

/// When the replicas that a get finds behind are brought up to date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadRepair {
    /// After the answer.
    #[default]
    Background,
    /// Before the answer: each replica that was asked in time has what the answer shows.
    Foreground,
}

/// How a get is made; what is `None` follows the bucket and the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// Replicas that have to answer.
    pub r: Option<Quorum>,
    /// Strict or sloppy quorum.
    pub quorum: Option<QuorumMode>,
    /// Milliseconds until the get gives up.
    pub timeout_ms: Option<u32>,
    /// Whether the answer says which replicas answered with what.
    pub explain: bool,
    /// When replicas that are behind are brought up to date.
    pub repair: ReadRepair,
}

/// How a put is made; what is `None` follows the bucket and the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOptions {
    /// Replicas that have to acknowledge.
    pub w: Option<Quorum>,
    /// Replicas that the read inside an overwrite needs.
    pub r: Option<Quorum>,
    /// Strict or sloppy quorum.
    pub quorum: Option<QuorumMode>,
    /// Milliseconds until the put gives up.
    pub timeout_ms: Option<u32>,
    /// Whether the answer says which replicas acknowledged.
    pub explain: bool,
}

/// What a put replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replace {
    /// What a quorum read inside the operation finds; the answer names it.
    #[default]
    Overwrite,
    /// What the client read: the context of a get or of an earlier put of this key.
    Context(ContextToken),
    /// Nothing: the put is concurrent with every other.
    Nothing,
}

/// Reads one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// Name of the bucket.
    pub bucket: String,
    /// The key.
    pub key: Key,
    /// How.
    pub options: ReadOptions,
}

/// Writes or deletes one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Name of the bucket.
    pub bucket: String,
    /// The key.
    pub key: Key,
    /// The value, or none for a delete.
    pub value: Option<Bytes>,
    /// What it replaces. A delete replaces something: [`Replace::Nothing`] is refused for it unless the bucket goes by stamps.
    pub replace: Replace,
    /// How.
    pub options: WriteOptions,
}

/// Reads many keys of one bucket, each for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetMany {
    /// Name of the bucket.
    pub bucket: String,
    /// The keys.
    #[serde(deserialize_with = "crate::codec::list")]
    pub keys: Vec<Key>,
    /// How.
    pub options: ReadOptions,
}

/// Writes many keys of one bucket, each for itself: there is no atomicity across keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutMany {
    /// Name of the bucket.
    pub bucket: String,
    /// Key, value (none for a delete) and what each put replaces.
    #[serde(deserialize_with = "crate::codec::list")]
    pub puts: Vec<(Key, Option<Bytes>, Replace)>,
    /// How.
    pub options: WriteOptions,
}

impl Get {
    /// A get that follows the bucket in everything.
    pub fn new(bucket: impl Into<String>, key: Key) -> Self {
        Get { bucket: bucket.into(), key, options: ReadOptions::default() }
    }

    /// The same get with that R.
    #[must_use]
    pub fn with_r(mut self, r: Quorum) -> Self {
        self.options.r = Some(r);
        self
    }
}

impl Put {
    /// A put that overwrites and follows the bucket in everything.
    pub fn new(bucket: impl Into<String>, key: Key, value: impl Into<Bytes>) -> Self {
        Put {
            bucket: bucket.into(),
            key,
            value: Some(value.into()),
            replace: Replace::Overwrite,
            options: WriteOptions::default(),
        }
    }

    /// A delete that overwrites and follows the bucket in everything.
    pub fn delete(bucket: impl Into<String>, key: Key) -> Self {
        Put {
            bucket: bucket.into(),
            key,
            value: None,
            replace: Replace::Overwrite,
            options: WriteOptions::default(),
        }
    }

    /// The same put with the context of what it replaces.
    #[must_use]
    pub fn with_context(mut self, context: ContextToken) -> Self {
        self.replace = Replace::Context(context);
        self
    }

    /// The same put with that W.
    #[must_use]
    pub fn with_w(mut self, w: Quorum) -> Self {
        self.options.w = Some(w);
        self
    }
}
