use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bucket::{Quorum, QuorumMode};
use crate::causality::ContextToken;
use crate::command::{Content, Expires};
use crate::key::Key;
use crate::record::WriteId;

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
    /// By what the put is recognised when it is tried again.
    pub attempt: Attempt,
}

/// Whether a put can be recognised when it is tried again. The id is kept in the version for as long as that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attempt {
    /// It is not to be tried again, or is another write then.
    #[default]
    Only,
    /// The first try of the put with this id, which no other write of the key has.
    First(WriteId),
    /// The put with this id may have been made: a quorum is read first, and where it is found nothing is made anew.
    Again(WriteId),
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
    /// What is written.
    pub content: Content,
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
    /// Key, what is written and what each put replaces.
    #[serde(deserialize_with = "crate::codec::list")]
    pub puts: Vec<(Key, Content, Replace)>,
    /// How; they have no id together.
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
            content: Content::value(value),
            replace: Replace::Overwrite,
            options: WriteOptions::default(),
        }
    }

    /// A delete that overwrites and follows the bucket in everything.
    pub fn delete(bucket: impl Into<String>, key: Key) -> Self {
        Put {
            bucket: bucket.into(),
            key,
            content: Content::Tombstone,
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

    /// A put that lets the value that is there expire at another time, and follows the bucket in everything else.
    pub fn expire(bucket: impl Into<String>, key: Key, expires: Expires) -> Self {
        Put { content: Content::Same(expires), ..Put::delete(bucket, key) }
    }

    /// The same put of a value that expires then; a delete stays one.
    #[must_use]
    pub fn expiring(mut self, expires: Expires) -> Self {
        self.content = match self.content {
            Content::Value(value, _) => Content::Value(value, expires),
            Content::Same(_) => Content::Same(expires),
            Content::Tombstone => Content::Tombstone,
        };
        self
    }

    /// The same put as the first try of the write with that id.
    #[must_use]
    pub fn with_id(mut self, id: WriteId) -> Self {
        self.options.attempt = Attempt::First(id);
        self
    }

    /// The same put with that W.
    #[must_use]
    pub fn with_w(mut self, w: Quorum) -> Self {
        self.options.w = Some(w);
        self
    }
}
