use std::ops::Range;

use crate::ids::BucketId;
use crate::storage::{Page, ScanRange, Storage, StorageError};

/// Most entries that are removed at once, so that no commit takes long.
const ENTRIES_MAX: usize = 1_000;
/// Most bytes of entries that are looked at for that.
const BYTES_MAX: usize = 4 << 20;

/// The first range of keys in `store` that belongs to a bucket which no table has (any more), at most some entries of it; none if nothing is
/// left of such buckets. Costs one seek for each bucket in the store.
///
/// `is_live` is asked about a bucket after something of it was found, so that a table which is newer than what was found decides: nothing is
/// stored of a bucket before a table has it.
///
/// # Errors
///
/// Those of the storage.
pub fn leftover(
    store: &dyn Storage,
    is_live: impl Fn(BucketId) -> bool,
) -> Result<Option<Range<Vec<u8>>>, StorageError> {
    let mut page = Page::new(ENTRIES_MAX, BYTES_MAX);
    let mut bucket = behind(BucketId::META);
    while let Some(start) = bucket {
        let mut first = Page::new(1, BYTES_MAX);
        store.scan(ScanRange::new(&start.0.to_be_bytes(), b""), &mut first)?;
        let Some(found) = first.last_key().and_then(bucket_of) else { return Ok(None) };
        bucket = behind(found);
        if is_live(found) {
            continue;
        }
        let end = bucket.map_or(Vec::new(), |next| next.0.to_be_bytes().to_vec());
        store.scan(ScanRange::new(&found.0.to_be_bytes(), &end), &mut page)?;
        if let Some(last) = page.last_key() {
            // The first key behind the last.
            let end = [last, b"\0"].concat();
            return Ok(Some(found.0.to_be_bytes().to_vec()..end));
        }
    }
    Ok(None)
}

pub(super) fn bucket_of(key: &[u8]) -> Option<BucketId> {
    Some(BucketId(u32::from_be_bytes(*key.first_chunk()?)))
}

fn behind(bucket: BucketId) -> Option<BucketId> {
    bucket.0.checked_add(1).map(BucketId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Token;
    use crate::key::StorageKey;
    use crate::storage::{Batch, Durability, MemoryStorage};

    #[test]
    fn what_no_bucket_of_the_table_has_is_found_piece_by_piece() {
        let store = MemoryStorage::new();
        let mut batch = Batch::new();
        batch.put(StorageKey::meta("buckets").as_bytes(), &[b"kept"]);
        let buckets = [BucketId::DEFAULT, BucketId(7), BucketId::REDIS, BucketId(u32::MAX)];
        for (bucket, entries) in buckets.into_iter().zip([3_u64, 2_500, 2, 1]) {
            for entry in 0..entries {
                batch.put(StorageKey::new(bucket, Token(entry), b"key").as_bytes(), &[b"value"]);
            }
        }
        store.write(&batch, Durability::Synced).unwrap();
        let mut pieces = 0;
        let is_live = |bucket| [BucketId::DEFAULT, BucketId::REDIS].contains(&bucket);
        while let Some(range) = leftover(&store, is_live).unwrap() {
            let mut batch = Batch::new();
            batch.delete_range(&range.start, &range.end);
            store.write(&batch, Durability::Synced).unwrap();
            pieces += 1;
        }
        assert_eq!(pieces, 3 + 1);
        let mut page = Page::new(100, 1 << 20);
        store.scan(ScanRange::new(b"", b""), &mut page).unwrap();
        assert_eq!(page.entries().len(), 1 + 3 + 2);
    }
}
