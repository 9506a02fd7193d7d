//! Building blocks of the formats that are stored and sent: varints, a reader that trusts nothing, and lists that have an end.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use thiserror::Error;

/// Most items that a list in a frame may have. A short item takes many times its bytes once it is decoded, so the frame's own length is
/// not bound enough.
pub const LIST_ITEMS_MAX: usize = 1 << 16;

/// What a list that has not arrived yet may allocate, in bytes.
const LIST_BYTES_AHEAD: usize = 1 << 20;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at byte {position}")]
pub struct DecodeError {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub position: usize,
}

/// Where bytes are appended: a buffer on the heap, or one that begins on the stack.
pub trait Output {
    /// Appends one byte.
    fn put(&mut self, byte: u8);
    /// Appends bytes.
    fn put_all(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put_all(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<A: smallvec::Array<Item = u8>> Output for smallvec::SmallVec<A> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }

    fn put_all(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends an unsigned LEB128 number.
pub fn put_varint(out: &mut impl Output, mut number: u64) {
    while number >= 0x80 {
        out.put(number as u8 | 0x80);
        number >>= 7;
    }
    out.put(number as u8);
}

/// Reads a buffer from front to back; every length is checked against what is there before it is believed.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, position: 0 }
    }

    /// An error at the present position.
    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { what, position: self.position }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Bytes that were read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The next byte.
    ///
    /// # Errors
    ///
    /// The buffer ends.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.position).ok_or_else(|| self.error("ends early"))?;
        self.position += 1;
        Ok(byte)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    ///
    /// The buffer ends.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.position.checked_add(length).ok_or_else(|| self.error("ends early"))?;
        let slice = self.bytes.get(self.position..end).ok_or_else(|| self.error("ends early"))?;
        self.position = end;
        Ok(slice)
    }

    /// The next `length` bytes for keeps: as a part of `whole`, the buffer that this reader reads, without a copy; or copied, if
    /// the buffer is only borrowed.
    ///
    /// # Errors
    ///
    /// The buffer ends.
    pub fn owned(&mut self, whole: Option<&Bytes>, length: usize) -> Result<Bytes, DecodeError> {
        let slice = self.slice(length)?;
        Ok(whole.map_or_else(|| Bytes::copy_from_slice(slice), |whole| whole.slice_ref(slice)))
    }

    /// The next 8 bytes as a little-endian number.
    ///
    /// # Errors
    ///
    /// The buffer ends.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        let mut array = [0; 8];
        array.copy_from_slice(self.slice(8)?);
        Ok(u64::from_le_bytes(array))
    }

    /// The next varint, which must be in its shortest form.
    ///
    /// # Errors
    ///
    /// The buffer ends, or the number is longer than needed or than 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0u64;
        for index in 0..10u32 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(self.error("number above 64 bits"));
            }
            number |= bits << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(self.error("number is not in its shortest form"));
                }
                return Ok(number);
            }
        }
        Err(self.error("number above 64 bits"))
    }

    /// A count of things of which each takes at least `bytes_each` bytes: refused if they cannot all be there.
    ///
    /// # Errors
    ///
    /// The buffer is too short for the count.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        let most = (self.remaining() / bytes_each.max(1)) as u64;
        if count > most {
            return Err(self.error("count above what is there"));
        }
        Ok(count as usize)
    }

    /// A length of bytes that must be there.
    ///
    /// # Errors
    ///
    /// The buffer is too short for the length.
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        self.count(1)
    }
}

/// Decodes a list of at most [`LIST_ITEMS_MAX`] items, for `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// The list is longer, or an item does not decode.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {LIST_ITEMS_MAX} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let announced = sequence.size_hint().unwrap_or(0);
            if announced > LIST_ITEMS_MAX {
                return Err(A::Error::invalid_length(announced, &self));
            }
            let ahead = LIST_BYTES_AHEAD / size_of::<T>().max(1);
            let mut items = Vec::with_capacity(announced.min(ahead));
            while let Some(item) = sequence.next_element()? {
                if items.len() == LIST_ITEMS_MAX {
                    return Err(A::Error::invalid_length(items.len() + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items(PhantomData))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_round_trip(number: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(number));
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn long_forms_and_overflows_are_refused() {
        for bytes in [&[0x80, 0x00][..], &[0xff; 10], &[0xff; 3]] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn counts_above_what_is_there_are_refused() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert!(Reader::new(&bytes).count(1).is_err());
    }
}
