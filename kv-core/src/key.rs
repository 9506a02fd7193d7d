//! Keys, and where they lie in a store.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Token};
use crate::limits::KEY_BYTES_MAX;

/// A key: 1 to 1,024 bytes of any content.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Key(Bytes);

impl Key {
    /// Makes a key of `bytes`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`] if it is empty or longer than 1,024 bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > KEY_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::InvalidKey,
                format!("a key has 1 to {KEY_BYTES_MAX} bytes, not {}", bytes.len()),
            ));
        }
        Ok(Key(bytes))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bytes> for Key {
    type Error = Error;

    fn try_from(bytes: Bytes) -> Result<Self, Error> {
        Key::new(bytes)
    }
}

impl From<Key> for Bytes {
    fn from(key: Key) -> Bytes {
        key.0
    }
}

impl TryFrom<&str> for Key {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        Key::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(\"{}\")", self.0.escape_ascii())
    }
}

/// Length of what stands before the key in a storage key: bucket id and token.
pub const STORAGE_PREFIX_BYTES: usize = 12;

/// The bytes under which a record lies in a [`crate::storage::Storage`]: bucket id, token, key, both numbers big-endian,
/// so that a partition of a bucket is one range. Kept on the stack for keys of ordinary length.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageKey(smallvec::SmallVec<[u8; 64]>);

impl StorageKey {
    /// The storage key of `key`, which lies at `token` of `bucket`.
    pub fn new(bucket: BucketId, token: Token, key: &[u8]) -> Self {
        let mut bytes = smallvec::SmallVec::with_capacity(STORAGE_PREFIX_BYTES + key.len());
        bytes.extend_from_slice(&bucket.0.to_be_bytes());
        bytes.extend_from_slice(&token.0.to_be_bytes());
        bytes.extend_from_slice(key);
        StorageKey(bytes)
    }

    /// The storage key of a piece of the store's own metadata.
    pub fn meta(name: &str) -> Self {
        let mut bytes = smallvec::SmallVec::new();
        bytes.extend_from_slice(&BucketId::META.0.to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        StorageKey(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageKey(\"{}\")", self.0.escape_ascii())
    }
}
