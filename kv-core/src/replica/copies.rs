use crate::error::ErrorKind;
use crate::ids::{BucketId, Epoch, NodeId, Token};
use crate::key::{Key, StandInName, StorageKey};
use crate::record::{CellView, EncodedRecord, Provenance, Record, Sinces};
use crate::replica::StandIns;
use crate::storage::{Page, ScanRange, Storage, StorageError};
use crate::tree::TreeId;
use crate::view::View;
use crate::wire::{ReadAnswer, ReadItem};

/// Entries that are looked at for a page of copies, and for a page when they are counted.
const PAGE_ENTRIES: usize = 256;
/// Most bytes of such a page.
const PAGE_BYTES: usize = 1 << 20;

/// A record that is kept for an owner that was absent (the hinted replica of Dynamo, section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInCopy {
    /// The owner.
    pub owner: NodeId,
    /// The bucket.
    pub bucket: BucketId,
    /// Where the key lies.
    pub token: Token,
    /// The key.
    pub key: Key,
    /// In which epoch the record was read, and since when its versions were held there.
    pub read: Provenance,
    /// The record.
    pub record: EncodedRecord,
}

impl StandInCopy {
    /// About how long it is in a frame.
    pub fn bytes(&self) -> usize {
        self.key.as_bytes().len() + self.record.len()
    }
}

/// Some copies that are kept for one owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopiesPage {
    /// The owner; none if there are no copies.
    pub owner: Option<NodeId>,
    /// The copies, in the order of their storage keys.
    pub copies: Vec<StandInCopy>,
    /// Copies that cannot be read any more; their records are empty.
    pub damaged: Vec<StandInCopy>,
    /// Behind which storage key there may be more, of this owner or of others.
    pub next: Option<Vec<u8>>,
}

/// Reads copies behind the storage key `after`, those of one owner.
///
/// # Errors
///
/// [`ErrorKind::StorageFailed`].
pub fn read_copies(store: &dyn Storage, after: Option<&[u8]>) -> Result<CopiesPage, ErrorKind> {
    let start = BucketId::STAND_IN.0.to_be_bytes();
    let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
    let range = ScanRange { start: &start, end: b"", after };
    store.scan(range, &mut page).map_err(|_| ErrorKind::StorageFailed)?;
    let mut found = CopiesPage::default();
    for (storage_key, cell) in page.entries() {
        let Some(StandInName { owner, bucket, token, epoch, key }) = StorageKey::parse_stand_in(storage_key)
        else {
            continue;
        };
        if *found.owner.get_or_insert(owner) != owner {
            return Ok(found);
        }
        found.next = Some(storage_key.to_vec());
        match CellView::decode(cell, storage_key, bucket, &key) {
            Ok(cell) => {
                let read = Provenance { epoch, sinces: cell.sinces.clone() };
                found.copies.push(StandInCopy { owner, bucket, token, read, record: cell.record(), key });
            }
            Err(_) => {
                let record = EncodedRecord::encode(&Record::new(), bucket, &key);
                let read = Provenance { epoch, ..Provenance::default() };
                found.damaged.push(StandInCopy { owner, bucket, token, read, record, key });
            }
        }
    }
    if !page.is_full() {
        found.next = None;
    }
    Ok(found)
}

/// Counts the copies that are in `store`.
///
/// # Errors
///
/// Those of the storage.
pub(super) fn count_copies(store: &dyn Storage) -> Result<StandIns, StorageError> {
    let counted = StandIns::default();
    let start = BucketId::STAND_IN.0.to_be_bytes();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
        store.scan(ScanRange { start: &start, end: b"", after: after.as_deref() }, &mut page)?;
        for (storage_key, cell) in page.entries() {
            if let Some(StandInName { owner, .. }) = StorageKey::parse_stand_in(storage_key) {
                counted.changed(owner, 0, cell.len() as u64);
            }
        }
        if !page.is_full() {
            return Ok(counted);
        }
        after = page.last_key().map(<[u8]>::to_vec);
    }
}

/// Reads what is kept of a key for its `owners`, as one record.
pub(super) fn read_as_stand_in(
    store: &dyn Storage,
    owners: &[NodeId],
    bucket: &crate::view::Bucket,
    token: Token,
    item: &ReadItem,
) -> ReadAnswer {
    let mut merged: Option<(Epoch, Record)> = None;
    for owner in owners {
        let start = StorageKey::stand_ins_at(*owner, bucket.id, token);
        let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
        // Few keys share a token, and few epochs are under way.
        let end = [start.as_bytes(), &[u8::MAX; 9]].concat();
        if store.scan(ScanRange::new(start.as_bytes(), &end), &mut page).is_err() || page.is_full() {
            return ReadAnswer::Refused(ErrorKind::StorageFailed);
        }
        for (storage_key, cell) in page.entries() {
            let Some(name) = StorageKey::parse_stand_in(storage_key).filter(|name| name.key == item.key)
            else {
                continue;
            };
            let cell = CellView::decode(cell, storage_key, bucket.id, &item.key);
            let Ok(record) = cell.and_then(|cell| cell.decode_record()) else {
                return ReadAnswer::Refused(ErrorKind::Damaged);
            };
            let (epoch, all) = merged.get_or_insert((name.epoch, Record::new()));
            *epoch = name.epoch.min(*epoch);
            all.merge(record, &*bucket.resolver);
        }
    }
    match merged {
        None => ReadAnswer::Absent(Epoch::NONE),
        Some((epoch, record)) => {
            let read = Provenance { epoch, sinces: Sinces::new(&record, |_| None) };
            ReadAnswer::Record(read, EncodedRecord::encode(&record, bucket.id, &item.key).into_bytes())
        }
    }
}

/// Whether a copy of a partition is kept that was read before `epoch`.
///
/// # Errors
///
/// Those of the storage.
pub(super) fn has_older(
    view: &View,
    store: &dyn Storage,
    stand_ins: &StandIns,
    (tree, epoch): (TreeId, Epoch),
) -> Result<bool, StorageError> {
    let partitioning = view.layout.partitioning();
    let first = partitioning.first_token(tree.partition);
    for (owner, _) in stand_ins.figures() {
        let start = StorageKey::stand_ins_at(owner, tree.bucket, first);
        let mut after: Option<Vec<u8>> = None;
        'pages: loop {
            let mut page = Page::new(PAGE_ENTRIES, PAGE_BYTES);
            let range = ScanRange { start: start.as_bytes(), end: b"", after: after.as_deref() };
            store.scan(range, &mut page)?;
            for (storage_key, _) in page.entries() {
                let name = StorageKey::parse_stand_in(storage_key);
                let is_within = |name: &StandInName| {
                    let at = (name.owner, name.bucket, partitioning.partition(name.token));
                    at == (owner, tree.bucket, tree.partition)
                };
                let Some(name) = name.filter(is_within) else { break 'pages };
                if name.epoch < epoch {
                    return Ok(true);
                }
            }
            if !page.is_full() {
                break;
            }
            after = page.last_key().map(<[u8]>::to_vec);
        }
    }
    Ok(false)
}
