use std::ops::Range;

/// Changes that are stored together or not at all. Keys and values lie in one buffer, so that a batch that is reused
/// allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Packed>,
}

#[derive(Debug, Clone)]
enum Packed {
    Put(Range<usize>, Range<usize>),
    Delete(Range<usize>),
    DeleteRange(Range<usize>, Range<usize>),
}

/// One change of a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Store `value` under `key`.
    Put {
        /// The key, not empty.
        key: &'a [u8],
        /// The value, which may be empty.
        value: &'a [u8],
    },
    /// Remove `key` if it is there.
    Delete {
        /// The key, not empty.
        key: &'a [u8],
    },
    /// Remove every key of the half-open range; an empty `end` means to the end of the map.
    DeleteRange {
        /// The first key that is removed.
        start: &'a [u8],
        /// The first key that is not.
        end: &'a [u8],
    },
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds a put; `value` is given in pieces that are stored one after the other.
    pub fn put(&mut self, key: &[u8], value: &[&[u8]]) {
        let key = self.append(&[key]);
        let value = self.append(value);
        self.changes.push(Packed::Put(key, value));
    }

    /// Adds the removal of `key`.
    pub fn delete(&mut self, key: &[u8]) {
        let key = self.append(&[key]);
        self.changes.push(Packed::Delete(key));
    }

    /// Adds the removal of the half-open range from `start` to `end`; an empty `end` means to the end of the map.
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        let start = self.append(&[start]);
        let end = self.append(&[end]);
        self.changes.push(Packed::DeleteRange(start, end));
    }

    /// The changes in their order.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = Change<'_>> {
        self.changes.iter().map(|change| match change {
            Packed::Put(key, value) => Change::Put { key: self.slice(key), value: self.slice(value) },
            Packed::Delete(key) => Change::Delete { key: self.slice(key) },
            Packed::DeleteRange(start, end) => {
                Change::DeleteRange { start: self.slice(start), end: self.slice(end) }
            }
        })
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the changes and keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    fn append(&mut self, pieces: &[&[u8]]) -> Range<usize> {
        let start = self.bytes.len();
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        start..self.bytes.len()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}
