use bytes::Bytes;
use smallvec::SmallVec;
use thiserror::Error;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::causality::{Dot, DotSet, Stamp};
use crate::codec::{DecodeError, Reader, put_varint};
use crate::ids::BucketId;
use crate::key::Key;
use crate::mutants::{self, Mutant};
use crate::record::{Expiry, Record, Version, WriteId};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 9;

const HAS_VALUE: u8 = 1;
const HAS_EXPIRY: u8 = 2;
const HAS_ID: u8 = 4;

/// A record in the one form in which it is stored, sent and checked.
///
/// One format byte; eight bytes of XXH3 over format, bucket, key and content; the content: the versions, ascending by dot. The encoding is
/// canonical, so the checksum is also the record's digest: replicas with equal digests hold equal records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord(Bytes);

/// The bytes are no record of that key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The format is newer than this build, or rubbish.
    #[error("record format {0} is unknown to this build, which knows format {FORMAT}")]
    Format(u8),
    /// The checksum does not fit content and key.
    #[error("the record fails its checksum")]
    Checksum,
    /// The checksum fits but the content does not decode.
    #[error("the record is malformed: {0}")]
    Malformed(#[from] DecodeError),
}

impl EncodedRecord {
    /// Encodes `record` as the record of `key`.
    pub fn encode(record: &Record, bucket: BucketId, key: &Key) -> Self {
        let size: usize = record
            .versions()
            .iter()
            .map(|version| 64 + version.past.actors() * 16 + version.value.as_ref().map_or(0, Bytes::len))
            .sum();
        let mut out = Vec::with_capacity(HEADER_BYTES + 2 + size);
        out.extend_from_slice(&[0; HEADER_BYTES]);
        put_varint(&mut out, record.versions().len() as u64);
        for version in record.versions() {
            encode_version(&mut out, version);
        }
        let digest = checksum(bucket, key, out.get(HEADER_BYTES..).unwrap_or_default());
        if let Some((format, rest)) = out.split_first_mut() {
            *format = FORMAT;
            for (to, from) in rest.iter_mut().zip(digest.to_le_bytes()) {
                *to = from;
            }
        }
        EncodedRecord(out.into())
    }

    /// Takes bytes that claim to be a record of `key` and checks format and checksum.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if they are not: the record is damaged.
    pub fn check(bytes: Bytes, bucket: BucketId, key: &Key) -> Result<Self, RecordError> {
        Self::check_slice(&bytes, bucket, key)?;
        Ok(EncodedRecord(bytes))
    }

    /// Checks format and checksum of bytes that are only borrowed, and returns the digest.
    pub(super) fn check_slice(bytes: &[u8], bucket: BucketId, key: &Key) -> Result<u64, RecordError> {
        let mut reader = Reader::new(bytes);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(RecordError::Format(format));
        }
        let stored = reader.u64()?;
        let computed = checksum(bucket, key, bytes.get(HEADER_BYTES..).unwrap_or_default());
        if stored != computed && !mutants::on(Mutant::ChecksumIsIgnored) {
            return Err(RecordError::Checksum);
        }
        Ok(stored)
    }

    /// Takes a copy of bytes that were checked.
    pub(super) fn copy_of(checked: &[u8]) -> Self {
        EncodedRecord(Bytes::copy_from_slice(checked))
    }

    /// Decodes the record; values share the record's buffer.
    ///
    /// # Errors
    ///
    /// [`RecordError::Malformed`] if the content is not canonical.
    pub fn decode(&self) -> Result<Record, RecordError> {
        decode_checked(&self.0, Some(&self.0))
    }

    /// The names of the versions, ascending.
    ///
    /// # Errors
    ///
    /// [`RecordError::Malformed`] if the content is not canonical.
    pub fn dots(&self) -> Result<SmallVec<[Dot; 2]>, RecordError> {
        dots_checked(&self.0)
    }

    /// The record's digest: its checksum.
    pub fn digest(&self) -> u64 {
        let mut reader = Reader::new(self.0.get(1..).unwrap_or_default());
        reader.u64().unwrap_or_default()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as a shared buffer.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The bytes as a shared buffer; nothing is copied.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes; never, for a record that was encoded or checked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Decodes a record whose checksum was checked; values share `whole`, or are copied if the bytes are only borrowed.
pub(super) fn decode_checked(bytes: &[u8], whole: Option<&Bytes>) -> Result<Record, RecordError> {
    let mut reader = Reader::new(bytes);
    reader.slice(HEADER_BYTES)?;
    // A version takes at least 19 bytes: dot 10, stamp 1, flags 1, past 1 and so on; 12 is a safe floor.
    let count = reader.count(12)?;
    let mut versions: SmallVec<[Version; 2]> = SmallVec::with_capacity(count);
    for _ in 0..count {
        versions.push(decode_version(&mut reader, |reader, length| reader.owned(whole, length))?);
    }
    if !reader.is_empty() {
        return Err(reader.error("bytes left over").into());
    }
    let position = reader.error("versions are not ascending");
    Record::from_ascending(versions).ok_or(RecordError::Malformed(position))
}

/// The names of the versions of a record whose checksum was checked, ascending.
pub(super) fn dots_checked(bytes: &[u8]) -> Result<SmallVec<[Dot; 2]>, RecordError> {
    let mut reader = Reader::new(bytes);
    reader.slice(HEADER_BYTES)?;
    let count = reader.count(12)?;
    let mut dots = SmallVec::with_capacity(count);
    for _ in 0..count {
        let skip = |reader: &mut Reader<'_>, length| reader.slice(length).map(|_| Bytes::new());
        dots.push(decode_version(&mut reader, skip)?.dot);
    }
    Ok(dots)
}

fn encode_version(out: &mut Vec<u8>, version: &Version) {
    encode_dot(out, version.dot);
    put_varint(out, version.stamp.0);
    let flags = if version.value.is_some() { HAS_VALUE } else { 0 }
        | if version.expiry.is_some() { HAS_EXPIRY } else { 0 }
        | if version.id.is_some() { HAS_ID } else { 0 };
    out.push(flags);
    if let Some(expiry) = version.expiry {
        put_varint(out, expiry.at_ms);
        put_varint(out, expiry.stamp.0);
    }
    if let Some(id) = version.id {
        out.extend_from_slice(&id.0);
    }
    version.past.encode(out);
    if let Some(value) = &version.value {
        put_varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn decode_version(
    reader: &mut Reader<'_>,
    take_value: impl FnOnce(&mut Reader<'_>, usize) -> Result<Bytes, DecodeError>,
) -> Result<Version, DecodeError> {
    let dot = decode_dot(reader)?;
    let stamp = Stamp(reader.varint()?);
    let flags = reader.byte()?;
    if flags & !(HAS_VALUE | HAS_EXPIRY | HAS_ID) != 0 {
        return Err(reader.error("unknown flags"));
    }
    let expiry = if flags & HAS_EXPIRY != 0 {
        Some(Expiry { at_ms: reader.varint()?, stamp: Stamp(reader.varint()?) })
    } else {
        None
    };
    let id = if flags & HAS_ID != 0 {
        let mut id = [0; 16];
        id.copy_from_slice(reader.slice(16)?);
        Some(WriteId(id))
    } else {
        None
    };
    let past = DotSet::decode(reader)?;
    let value = if flags & HAS_VALUE != 0 {
        let length = reader.length()?;
        Some(take_value(reader, length)?)
    } else {
        None
    };
    Ok(Version { dot, past, stamp, expiry, id, value })
}

pub(super) fn encode_dot(out: &mut Vec<u8>, dot: Dot) {
    crate::causality::encode_actor(out, dot.actor);
    put_varint(out, dot.counter);
}

pub(super) fn decode_dot(reader: &mut Reader<'_>) -> Result<Dot, DecodeError> {
    let actor = crate::causality::decode_actor(reader)?;
    let counter = reader.varint()?;
    if counter == 0 {
        return Err(reader.error("a dot's counter starts at 1"));
    }
    Ok(Dot { actor, counter })
}

fn checksum(bucket: BucketId, key: &Key, content: &[u8]) -> u64 {
    let mut prefix: SmallVec<[u8; 128]> = SmallVec::new();
    prefix.push(FORMAT);
    prefix.extend_from_slice(&bucket.0.to_le_bytes());
    prefix.extend_from_slice(&(key.as_bytes().len() as u16).to_le_bytes());
    prefix.extend_from_slice(key.as_bytes());
    keyed_digest(&prefix, content)
}

/// XXH3 of `content`, bound to `prefix`: the prefix's own hash is the seed.
pub(super) fn keyed_digest(prefix: &[u8], content: &[u8]) -> u64 {
    xxh3_64_with_seed(content, xxh3_64(prefix))
}

#[cfg(test)]
mod tests;
