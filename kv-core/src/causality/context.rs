use std::fmt;
use std::hash::Hasher;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use smallvec::SmallVec;

use crate::causality::{DotSet, Stamp};
use crate::codec::{DecodeError, Reader, put_varint};
use crate::error::{Error, ErrorKind};
use crate::ids::BucketId;
use crate::key::Key;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 9;

/// What a client has seen of a key: the dots and pasts of all versions that a read found, and the highest stamp among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Every dot that was seen.
    pub dots: DotSet,
    /// The highest stamp that was seen; a put with this context is stamped above it.
    pub stamp: Stamp,
}

/// A [`Context`] in the form in which clients hold it: opaque bytes, issued by the cluster for one key.
///
/// One format byte, eight bytes of SipHash-2-4 keyed with the cluster's secret over bucket, key and content, and the content.
/// A token that was made up, altered, or read from another key, bucket or cluster is refused.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContextToken(Bytes);

impl Context {
    /// Encodes the context for the clients of `key`.
    pub fn seal(&self, secret: &[u8; 16], bucket: BucketId, key: &Key) -> ContextToken {
        let mut out: SmallVec<[u8; 128]> = SmallVec::new();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        put_varint(&mut out, self.stamp.0);
        self.dots.encode(&mut out);
        let code = authenticate(secret, bucket, key, out.get(HEADER_BYTES..).unwrap_or_default());
        if let Some((format, rest)) = out.split_first_mut() {
            *format = FORMAT;
            for (to, from) in rest.iter_mut().zip(code.to_le_bytes()) {
                *to = from;
            }
        }
        ContextToken(Bytes::copy_from_slice(&out))
    }
}

impl ContextToken {
    /// The token's bytes, to be given back to the cluster as they are.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes that a client brought back. They are checked when they are used.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        ContextToken(bytes.into())
    }

    /// Checks that the token was issued by this cluster for `key` and decodes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidContext`] for everything else; nothing is changed.
    pub fn open(&self, secret: &[u8; 16], bucket: BucketId, key: &Key) -> Result<Context, Error> {
        let refuse = |why: &str| {
            let advice = "pass back the context of a get of this key in this cluster, unaltered";
            Error::new(ErrorKind::InvalidContext, format!("the context {why}; {advice}"))
        };
        let mut reader = Reader::new(&self.0);
        let format = reader.byte().map_err(|_| refuse("is empty"))?;
        if format != FORMAT {
            return Err(refuse(&format!("has format {format}, this node knows format {FORMAT}")));
        }
        let code = reader.u64().map_err(|_| refuse("is cut short"))?;
        let content = self.0.get(HEADER_BYTES..).unwrap_or_default();
        if code != authenticate(secret, bucket, key, content) {
            return Err(refuse("was not issued for this key"));
        }
        let decode = |reader: &mut Reader<'_>| -> Result<Context, DecodeError> {
            let stamp = Stamp(reader.varint()?);
            let dots = DotSet::decode(reader)?;
            if reader.is_empty() { Ok(Context { dots, stamp }) } else { Err(reader.error("bytes left over")) }
        };
        decode(&mut reader).map_err(|error| refuse(&format!("is malformed: {error}")))
    }
}

impl fmt::Debug for ContextToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContextToken({} bytes)", self.0.len())
    }
}

fn authenticate(secret: &[u8; 16], bucket: BucketId, key: &Key, content: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write_u32(bucket.0);
    hasher.write_u64(key.as_bytes().len() as u64);
    hasher.write(key.as_bytes());
    hasher.write(content);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::causality::{Actor, Dot};
    use crate::ids::Incarnation;

    const SECRET: [u8; 16] = *b"0123456789abcdef";

    fn context() -> Context {
        let actor = Actor { incarnation: Incarnation(7), birth: 3 };
        let dots = [1, 2, 5].map(|counter| Dot { actor, counter }).into_iter().collect();
        Context { dots, stamp: Stamp(99) }
    }

    fn key(text: &str) -> Key {
        Key::try_from(text).unwrap()
    }

    #[test]
    fn comes_back_for_its_own_key_only() {
        let token = context().seal(&SECRET, BucketId(1), &key("a"));
        assert_eq!(token.open(&SECRET, BucketId(1), &key("a")).unwrap(), context());
        let others = [
            token.open(&SECRET, BucketId(1), &key("b")),
            token.open(&SECRET, BucketId(2), &key("a")),
            token.open(b"another secret!!", BucketId(1), &key("a")),
        ];
        for other in others {
            assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidContext);
        }
    }

    #[test]
    fn every_altered_bit_is_found() {
        let token = context().seal(&SECRET, BucketId(1), &key("a"));
        for bit in 0..token.as_bytes().len() * 8 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = ContextToken::from_bytes(bytes).open(&SECRET, BucketId(1), &key("a")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidContext);
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let token = ContextToken::from_bytes(bytes);
            prop_assert!(token.open(&SECRET, BucketId(1), &key("a")).is_err());
        }
    }
}
