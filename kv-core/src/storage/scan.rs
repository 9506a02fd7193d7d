use std::ops::{Bound, Range};

/// A lower and an upper bound, as ordered maps take them.
pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A half-open range of keys, read in pages.
#[derive(Debug, Clone, Copy)]
pub struct ScanRange<'a> {
    /// The first key of the range.
    pub start: &'a [u8],
    /// The first key behind the range; empty for none.
    pub end: &'a [u8],
    /// Go on behind this key, the last of the page before.
    pub after: Option<&'a [u8]>,
}

impl<'a> ScanRange<'a> {
    /// The keys from `start` up to but not including `end`; an empty `end` means to the end of the map.
    pub fn new(start: &'a [u8], end: &'a [u8]) -> Self {
        ScanRange { start, end, after: None }
    }

    /// The bounds for an ordered map to look between, or `None` where no key can lie: most maps refuse a start behind the
    /// end.
    pub fn bounds(&self) -> Option<KeyBounds<'a>> {
        let lower = match self.after {
            Some(after) if after >= self.start => Bound::Excluded(after),
            _ if self.start.is_empty() => Bound::Unbounded,
            _ => Bound::Included(self.start),
        };
        if self.end.is_empty() {
            return Some((lower, Bound::Unbounded));
        }
        let possible = match lower {
            Bound::Included(key) | Bound::Excluded(key) => key < self.end,
            Bound::Unbounded => true,
        };
        possible.then_some((lower, Bound::Excluded(self.end)))
    }

    /// Whether `key` lies in the range and behind `after`.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start
            && (self.end.is_empty() || key < self.end)
            && self.after.is_none_or(|after| key > after)
    }
}

/// Entries of a scan, bounded in number and bytes. Reusable.
#[derive(Debug)]
pub struct Page {
    bytes: Vec<u8>,
    entries: Vec<(Range<usize>, Range<usize>)>,
    entries_max: usize,
    bytes_max: usize,
}

impl Page {
    /// An empty page that is full at `entries_max` entries or, with at least one entry, at `bytes_max` bytes.
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Page { bytes: Vec::new(), entries: Vec::new(), entries_max: entries_max.max(1), bytes_max }
    }

    /// Appends an entry and says whether there is room for another.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push((start..middle, middle..self.bytes.len()));
        !self.is_full()
    }

    /// An empty page with the bounds of this one that are left, for what is to be looked through before it is pushed here.
    #[must_use]
    pub fn like(&self) -> Self {
        let bytes_max = self.bytes_max.saturating_sub(self.bytes.len());
        Page::new(self.entries_max.saturating_sub(self.entries.len()), bytes_max)
    }

    /// Whether the page has reached one of its bounds: then there may be more in the range.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max || self.bytes.len() >= self.bytes_max
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The entries, keys ascending.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (self.slice(key), self.slice(value)))
    }

    /// The last key, after which the next page goes on.
    pub fn last_key(&self) -> Option<&[u8]> {
        self.entries.last().map(|(key, _)| self.slice(key))
    }

    /// Empties the page for reuse.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}
