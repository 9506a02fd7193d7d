//! What a store that has a log says of it, under a key of its own.

use kv_core::storage::Batch;

use super::record::u64_at;

/// The key, which users of the store neither see nor may write.
pub(super) const KEY: &[u8] = b"\xff\xff\xff\xffkv-storage log";

const VERSION: u8 = 1;

/// Which log it is, and how much of it the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) log: u128,
    /// The number of the last segment all of which is in the store.
    pub(super) applied: u64,
}

impl Marker {
    pub(super) fn put(self, batch: &mut Batch) {
        batch.put(KEY, &[&[VERSION], &self.log.to_le_bytes(), &self.applied.to_le_bytes()]);
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        if *value.first()? != VERSION || value.len() != 25 {
            return None;
        }
        let log = u128::from_le_bytes(value.get(1..17)?.try_into().ok()?);
        Some(Marker { log, applied: u64_at(value, 17)? })
    }
}
