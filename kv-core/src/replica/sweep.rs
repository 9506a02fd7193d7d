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
    /// How far the leaf was looked through, if not to its end.
    pub(super) after: Option<Vec<u8>>,
}

/// Finds what may be due in the next leaves that have to be looked through. A leaf that cannot be read is looked through when the next epoch has begun.
pub(super) fn sweep(view: &View, store: &dyn Storage, epochs: &Epochs) -> Vec<Swept> {
    let (leaves, mut after) = epochs.next_sweep();
    let mut all = Vec::new();
    let mut left = RECORDS_MAX;
    for leaf in leaves {
        let mut swept = Swept { leaf, keys: Vec::new(), is_left: false, after: after.take() };
        match look_through(view, store, (epochs.epoch(leaf.tree), left), &mut swept) {
            Ok(records) => left -= records.min(left),
            Err(_) => (swept.is_left, swept.after) = (true, None),
        }
        let is_through = swept.after.is_none();
        all.push(swept);
        if left == 0 || !is_through {
            break;
        }
    }
    all
}

/// Goes through one leaf, or a part of it with at most so many records, and says how many were looked at.
fn look_through(
    view: &View,
    store: &dyn Storage,
    (epoch, records_max): (Epoch, usize),
    swept: &mut Swept,
) -> Result<usize, StorageError> {
    let bucket = swept.leaf.tree.bucket;
    let (first, last) = swept.leaf.tokens(view.layout.partitioning());
    let start = StorageKey::new(bucket, first, b"");
    let end = StorageKey::end_of(bucket, last);
    let mut page = Page::new(records_max.max(1), PAGE_BYTES);
    let range = ScanRange { start: start.as_bytes(), end: &end, after: swept.after.as_deref() };
    store.scan(range, &mut page)?;
    for (storage_key, cell) in page.entries() {
        let Some((_, token, key)) = StorageKey::parse(storage_key) else { continue };
        let Ok(key) = Key::new(bytes::Bytes::copy_from_slice(key)) else { continue };
        let Ok(cell) = CellView::decode(cell, storage_key, bucket, &key) else { continue };
        if cell.sinces.entries().is_empty() {
            continue;
        }
        if may_be_due(&cell, epoch) {
            swept.keys.push((token, key));
        } else if !swept.is_left {
            swept.is_left = cell.decode_record().is_ok_and(|record| record.wants_epochs());
        }
    }
    swept.after = page.last_key().filter(|_| page.is_full()).map(<[u8]>::to_vec);
    Ok(page.entries().len())
}
