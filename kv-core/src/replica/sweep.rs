use crate::ids::{Epoch, Token};
use crate::key::{Key, StorageKey};
use crate::record::CellView;
use crate::replica::Epochs;
use crate::replica::aged::may_be_due;
use crate::storage::{Page, ScanRange, Storage, StorageError};
use crate::tree::LeafId;
use crate::view::View;

/// Most records that are looked at in one batch, roughly.
const RECORDS_MAX: usize = 2_000;
/// Most bytes of a page of them.
const PAGE_BYTES: usize = 4 << 20;

/// A leaf that is looked through for what is due.
#[derive(Debug)]
pub(super) struct Swept {
    pub(super) leaf: LeafId,
    /// The records in which something may be due.
    pub(super) keys: Vec<(Token, Key)>,
    /// Whether there is something else that will go some time.
    pub(super) is_left: bool,
}

/// Finds what may be due in the next leaves that have to be looked through.
///
/// # Errors
///
/// Those of the storage.
pub(super) fn sweep(view: &View, store: &dyn Storage, epochs: &Epochs) -> Result<Vec<Swept>, StorageError> {
    let mut all = Vec::new();
    let mut records = 0;
    for leaf in epochs.next_sweep() {
        let mut swept = Swept { leaf, keys: Vec::new(), is_left: false };
        records += look_through(view, store, epochs.epoch(leaf.tree), &mut swept)?;
        all.push(swept);
        if records >= RECORDS_MAX {
            break;
        }
    }
    Ok(all)
}

/// Goes through one leaf, and says how many records were looked at.
fn look_through(
    view: &View,
    store: &dyn Storage,
    epoch: Epoch,
    swept: &mut Swept,
) -> Result<usize, StorageError> {
    let bucket = swept.leaf.tree.bucket;
    let (first, last) = swept.leaf.tokens(view.layout.partitioning());
    let start = StorageKey::new(bucket, first, b"");
    let end = StorageKey::end_of(bucket, last);
    let mut records = 0;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut page = Page::new(RECORDS_MAX, PAGE_BYTES);
        let range = ScanRange { start: start.as_bytes(), end: &end, after: after.as_deref() };
        store.scan(range, &mut page)?;
        for (storage_key, cell) in page.entries() {
            records += 1;
            let Some((_, token, key)) = StorageKey::parse(storage_key) else { continue };
            let Ok(key) = Key::new(bytes::Bytes::copy_from_slice(key)) else { continue };
            let Ok(cell) = CellView::decode(cell, storage_key, bucket, &key) else { continue };
            if cell.sinces.entries().is_empty() {
                continue;
            }
            if may_be_due(&cell, epoch) && swept.keys.len() < RECORDS_MAX {
                swept.keys.push((token, key));
            } else if !swept.is_left {
                swept.is_left = cell.decode_record().is_ok_and(|record| record.wants_epochs());
            }
        }
        if !page.is_full() || swept.keys.len() == RECORDS_MAX {
            swept.is_left |= page.is_full();
            return Ok(records);
        }
        after = page.last_key().map(<[u8]>::to_vec);
    }
}
