//! Keys, and where they lie in a store.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Epoch, NodeId, Token};
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
/// The same for a copy that is kept for an absent owner: the owner stands in front of bucket id and token, the epoch behind them.
pub const STAND_IN_PREFIX_BYTES: usize = 32;

/// What a copy is of that is kept for an absent owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInName {
    /// The owner.
    pub owner: NodeId,
    /// The bucket.
    pub bucket: BucketId,
    /// Where the key lies.
    pub token: Token,
    /// The epoch in which it was read.
    pub epoch: Epoch,
    /// The key.
    pub key: Key,
}

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

    /// The storage key of the copy of `key` that is kept for `owner` while that is absent.
    /// What was read in different epochs is kept apart.
    pub fn stand_in(owner: NodeId, bucket: BucketId, token: Token, epoch: Epoch, key: &[u8]) -> Self {
        let mut bytes = Self::stand_ins_at(owner, bucket, token).0;
        bytes.extend_from_slice(&epoch.0.to_be_bytes());
        bytes.extend_from_slice(key);
        StorageKey(bytes)
    }

    /// What all copies begin with that are kept for `owner` of keys that lie at `token` of `bucket`.
    pub fn stand_ins_at(owner: NodeId, bucket: BucketId, token: Token) -> Self {
        let mut bytes = smallvec::SmallVec::with_capacity(64);
        bytes.extend_from_slice(&Self::stand_in_prefix(owner));
        bytes.extend_from_slice(Self::new(bucket, token, b"").as_bytes());
        StorageKey(bytes)
    }

    /// What all copies begin with that are kept for `owner`.
    pub fn stand_in_prefix(owner: NodeId) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (to, from) in
            bytes.iter_mut().zip(BucketId::STAND_IN.0.to_be_bytes().into_iter().chain(owner.0.to_be_bytes()))
        {
            *to = from;
        }
        bytes
    }

    /// Whose copy of what lies under a storage key, if it is one of a copy.
    pub fn parse_stand_in(storage_key: &[u8]) -> Option<StandInName> {
        let (prefix, rest) = storage_key.split_first_chunk::<4>()?;
        let (owner, rest) = rest.split_first_chunk::<8>()?;
        let (bucket, rest) = rest.split_first_chunk::<4>()?;
        let (token, rest) = rest.split_first_chunk::<8>()?;
        let (epoch, key) = rest.split_first_chunk::<8>()?;
        let is_copy = u32::from_be_bytes(*prefix) == BucketId::STAND_IN.0;
        let key = Key::new(Bytes::copy_from_slice(key)).ok().filter(|_| is_copy)?;
        let [owner, token, epoch] = [owner, token, epoch].map(|number| u64::from_be_bytes(*number));
        let (bucket, token) = (BucketId(u32::from_be_bytes(*bucket)), Token(token));
        Some(StandInName { owner: NodeId(owner), bucket, token, epoch: Epoch(epoch), key })
    }

    /// What record lies under a storage key, if it is one of a record: bucket, token and key.
    pub fn parse(storage_key: &[u8]) -> Option<(BucketId, Token, &[u8])> {
        let (bucket, rest) = storage_key.split_first_chunk::<4>()?;
        let (token, key) = rest.split_first_chunk::<8>()?;
        let bucket = BucketId(u32::from_be_bytes(*bucket));
        let is_record = bucket != BucketId::META && bucket != BucketId::STAND_IN;
        is_record.then_some((bucket, Token(u64::from_be_bytes(*token)), key))
    }

    /// The first storage key behind everything that lies at `token` of `bucket` or before; empty if nothing can be.
    pub fn end_of(bucket: BucketId, token: Token) -> Vec<u8> {
        match token.0.checked_add(1) {
            Some(next) => Self::new(bucket, Token(next), b"").as_bytes().to_vec(),
            None => bucket.0.checked_add(1).map_or(Vec::new(), |next| next.to_be_bytes().to_vec()),
        }
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
