use std::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::ids::Token;
use crate::limits::KEY_BYTES_MAX;
use crate::partitioner::Partitioner;

/// Most split points of a partitioner.
const SPLITS_MAX: usize = 1 << 16;

/// Places keys in their order, so that a range of keys is a range of tokens.
///
/// The split points cut the keys into ranges of which each gets an equal slice of the tokens: the load is even if the split points are
/// quantiles of the keys ([`OrderedPartitioner::from_sample`]). Inside a slice the token is interpolated on the 8 bytes that follow
/// what the ends of the range have in common. Keys that differ only behind those bytes share a token, which is allowed: a token
/// need not be one key's alone.
///
/// Two partitioners with different split points place keys differently, so the split points of a cluster cannot be changed.
///
/// # Examples
///
/// ```
/// use kv_core::partitioner::{OrderedPartitioner, Partitioner};
///
/// let partitioner = OrderedPartitioner::new([&b"g"[..], b"n", b"t"])?;
/// assert!(partitioner.token(b"apple") < partitioner.token(b"banana"));
/// assert_eq!(partitioner.token(b"n").0, 1 << 63);
/// # Ok::<(), kv_core::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedPartitioner {
    /// The ranges in order; the first begins with the empty key.
    slices: Vec<Slice>,
    /// Of the split points.
    digest: u64,
}

/// The keys from one split point to before the next, and how they are interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slice {
    begin: Vec<u8>,
    /// Length of what all keys of the range begin with.
    common: usize,
    /// The 8 bytes behind that of the least key and of the first key behind the range.
    low: u64,
    high: u128,
    tokens: Range<u128>,
}

impl OrderedPartitioner {
    /// A partitioner with these split points, of which there may be none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] unless the split points are keys of 1 to 1,024 bytes, each greater than the one before, and at
    /// most 65,536.
    pub fn new<K: AsRef<[u8]>>(splits: impl IntoIterator<Item = K>) -> Result<Self, Error> {
        let splits: Vec<Vec<u8>> = splits.into_iter().map(|split| split.as_ref().to_vec()).collect();
        if splits.len() > SPLITS_MAX {
            return Err(invalid(format!("there may be {SPLITS_MAX} split points, not {}", splits.len())));
        }
        if let Some(split) = splits.iter().find(|split| split.is_empty() || split.len() > KEY_BYTES_MAX) {
            return Err(invalid(format!(
                "a split point has 1 to {KEY_BYTES_MAX} bytes, not {}",
                split.len()
            )));
        }
        if let Some(place) = splits.windows(2).position(|pair| pair.first() >= pair.last()) {
            return Err(invalid(format!("split point {} is not greater than the one before", place + 1)));
        }
        let mut bytes = Vec::new();
        for split in &splits {
            bytes.extend_from_slice(&(split.len() as u64).to_le_bytes());
            bytes.extend_from_slice(split);
        }
        let slices = slices(&splits);
        Ok(OrderedPartitioner { slices, digest: xxhash_rust::xxh3::xxh3_64(&bytes) })
    }

    /// A partitioner with up to `slices - 1` split points at the quantiles of a sample of keys, which may come in any order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] if `slices` is not 1 to 65,536 or a key that would be a split point is no key.
    pub fn from_sample<K: AsRef<[u8]>>(
        keys: impl IntoIterator<Item = K>,
        slices: usize,
    ) -> Result<Self, Error> {
        if slices == 0 || slices > SPLITS_MAX {
            return Err(invalid(format!("there are 1 to {SPLITS_MAX} slices, not {slices}")));
        }
        let mut keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut quantiles: Vec<&Vec<u8>> =
            (1..slices).filter_map(|index| keys.get(index * keys.len() / slices)).collect();
        quantiles.dedup();
        // A split point at the least key would leave the slice before it empty.
        quantiles.retain(|split| Some(*split) != keys.first());
        OrderedPartitioner::new(quantiles)
    }
}

/// The slices between `splits`.
///
/// The first and the last are cut once more, at the edge of what the two split points next to them begin with: keys like those
/// are more likely there than others, get 7 of 8 tokens, and are told apart by what follows.
fn slices(splits: &[Vec<u8>]) -> Vec<Slice> {
    let count = splits.len() as u128 + 1;
    let first_token = |index: usize| (index as u128 * (1 << 64)) / count;
    let mut slices = Vec::with_capacity(splits.len() + 3);
    let mut begin: &[u8] = &[];
    for index in 0..=splits.len() {
        let end = splits.get(index).map(Vec::as_slice);
        let tokens = first_token(index)..first_token(index + 1);
        let eighth = (tokens.end - tokens.start) / 8;
        let edge_below = match (index, splits) {
            (0, [split, next, ..]) => shared(split, next),
            _ => 0,
        };
        let edge_above = match splits {
            [.., before, split] if end.is_none() => shared(before, split),
            _ => 0,
        };
        if let Some(end) = end
            && edge_below > 0
            && edge_below < end.len()
        {
            let edge = end.get(..edge_below).unwrap_or_default();
            let middle = tokens.start + eighth;
            slices.push(Slice::new(begin, Some(edge), tokens.start..middle));
            slices.push(Slice::new(edge, Some(end), middle..tokens.end));
        } else if let Some(edge) = begin.get(..edge_above).and_then(behind_prefix) {
            let middle = tokens.end - eighth;
            let low = window(begin, edge_above);
            slices.push(Slice {
                begin: begin.to_vec(),
                common: edge_above,
                low,
                high: 1 << 64,
                tokens: tokens.start..middle,
            });
            slices.push(Slice::new(&edge, None, middle..tokens.end));
        } else {
            slices.push(Slice::new(begin, end, tokens));
        }
        begin = end.unwrap_or_default();
    }
    slices
}

/// Length of what both begin with.
fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The least key that is above all keys that begin with `prefix`.
fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < 0xff)?;
    let mut key = prefix.get(..=last)?.to_vec();
    *key.last_mut()? += 1;
    Some(key)
}

impl Slice {
    fn new(begin: &[u8], end: Option<&[u8]>, tokens: Range<u128>) -> Self {
        let common = end.map_or(0, |end| shared(begin, end));
        let low = window(begin, common);
        // Behind the last split point the range goes on to the end of all keys.
        let high = end.map_or(1 << 64, |end| u128::from(window(end, common)).max(u128::from(low) + 1));
        Slice { begin: begin.to_vec(), common, low, high, tokens }
    }

    fn token(&self, key: &[u8]) -> Token {
        let passed = u128::from(window(key, self.common).saturating_sub(self.low));
        let width = self.tokens.end - self.tokens.start;
        let range = self.high - u128::from(self.low);
        // Below 2^128: what passed is below 2^64, and a width of 2^64 comes with no split point at all.
        let offset = passed * width / range;
        // A key that differs from the end behind the 8 bytes only must still get a token of this slice.
        Token((self.tokens.start + offset.min(width - 1)) as u64)
    }
}

impl Partitioner for OrderedPartitioner {
    fn name(&self) -> String {
        format!("ordered:{:016x}", self.digest)
    }

    fn token(&self, key: &[u8]) -> Token {
        let behind = self.slices.partition_point(|slice| slice.begin.as_slice() <= key);
        self.slices.get(behind.saturating_sub(1)).map_or(Token(0), |slice| slice.token(key))
    }

    fn is_uniform(&self) -> bool {
        false
    }

    fn is_ordered(&self) -> bool {
        true
    }
}

/// The 8 bytes of `key` from `start` as a big-endian number, zeros where it ends.
fn window(key: &[u8], start: usize) -> u64 {
    let mut bytes = [0; 8];
    for (byte, key_byte) in bytes.iter_mut().zip(key.iter().skip(start)) {
        *byte = *key_byte;
    }
    u64::from_be_bytes(bytes)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, message)
}

#[cfg(test)]
mod tests;
