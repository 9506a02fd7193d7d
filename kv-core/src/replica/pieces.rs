//! Metadata of a store that has a piece for each partition of each bucket.

use crate::ids::{BucketId, PartitionId};
use crate::key::StorageKey;
use crate::storage::{Page, ScanRange, Storage, StorageError};
use crate::tree::TreeId;

/// Entries of a page.
const PAGE_ENTRIES: usize = 1_000;
/// Bytes of a page.
const PAGE_BYTES: usize = 1 << 20;

/// Under what the piece of a partition lies whose name begins with `prefix`.
pub(super) fn piece_key(prefix: &str, tree: TreeId) -> StorageKey {
    StorageKey::meta(&format!("{prefix}{:08x}/{:08x}", tree.bucket.0, tree.partition.0))
}

/// Goes through the pieces whose names begin with `prefix`.
///
/// # Errors
///
/// Those of the storage.
pub(super) fn each_piece(
    store: &dyn Storage,
    prefix: &str,
    mut take: impl FnMut(TreeId, &[u8]),
) -> Result<(), StorageError> {
    let start = StorageKey::meta(prefix);
    let end = StorageKey::meta(&format!("{prefix}~"));
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
        let range = ScanRange { start: start.as_bytes(), end: end.as_bytes(), after: after.as_deref() };
        store.scan(range, &mut page)?;
        for (storage_key, value) in page.entries() {
            let name = storage_key.get(start.as_bytes().len()..).unwrap_or_default();
            if let Some(tree) = parse(name) {
                take(tree, value);
            }
        }
        if !page.is_full() {
            return Ok(());
        }
        after = page.last_key().map(<[u8]>::to_vec);
    }
}

fn parse(name: &[u8]) -> Option<TreeId> {
    let (bucket, partition) = std::str::from_utf8(name).ok()?.split_once('/')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(TreeId { bucket: BucketId(number(bucket)?), partition: PartitionId(number(partition)?) })
}
