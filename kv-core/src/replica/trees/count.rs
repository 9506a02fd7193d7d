use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::record::CellView;
use crate::storage::{Page, ScanRange, Storage, StorageError};
use crate::tree::{LeafCount, LeafId, digest};
use crate::view::View;

/// Entries of a page, when a leaf is counted.
const PAGE_ENTRIES: usize = 1_000;
/// Bytes of such a page.
const PAGE_BYTES: usize = 1 << 20;

/// Counts a leaf by looking at each of its records.
///
/// # Errors
///
/// Those of the storage.
pub fn count(view: &View, store: &dyn Storage, leaf: LeafId) -> Result<LeafCount, StorageError> {
    let (first, last) = leaf.tokens(view.layout.partitioning());
    let bucket = leaf.tree.bucket;
    let start = StorageKey::new(bucket, first, b"");
    let end = StorageKey::end_of(bucket, last);
    let mut found = LeafCount { leaf, sum: 0, expected: None, records: 0, damaged: 0 };
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
        store.scan(ScanRange { start: start.as_bytes(), end: &end, after: after.as_deref() }, &mut page)?;
        for (storage_key, cell) in page.entries() {
            match digest_of(view, storage_key, cell) {
                Some(digest) => {
                    found.records += 1;
                    found.sum = found.sum.wrapping_add(digest);
                }
                None => found.damaged += 1,
            }
        }
        if !page.is_full() {
            return Ok(found);
        }
        after = page.last_key().map(<[u8]>::to_vec);
    }
}

/// The digest of what is stored under a storage key; none if it is damaged.
fn digest_of(view: &View, storage_key: &[u8], cell: &[u8]) -> Option<u64> {
    let (bucket, _, key) = StorageKey::parse(storage_key)?;
    let name = Key::new(bytes::Bytes::copy_from_slice(key)).ok()?;
    let cell = CellView::decode(cell, storage_key, bucket, &name).ok()?;
    if cell.recovering.is_some() && !mutants::on(Mutant::RecoveringIsInTrees) {
        return Some(0);
    }
    Some(digest(view.secret(), bucket, key, &cell.dots().ok()?))
}
