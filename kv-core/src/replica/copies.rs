use crate::error::ErrorKind;
use crate::ids::{BucketId, NodeId, Token};
use crate::key::{Key, StorageKey};
use crate::record::{CellView, EncodedRecord, Record};
use crate::replica::StandIns;
use crate::storage::{Page, ScanRange, Storage, StorageError};
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
    /// Copies that cannot be read any more.
    pub damaged: u64,
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
        let Some((owner, bucket, token, key)) = StorageKey::parse_stand_in(storage_key) else { continue };
        if *found.owner.get_or_insert(owner) != owner {
            return Ok(found);
        }
        found.next = Some(storage_key.to_vec());
        match CellView::decode(cell, storage_key, bucket, &key) {
            Ok(cell) => found.copies.push(StandInCopy { owner, bucket, token, record: cell.record(), key }),
            Err(_) => found.damaged += 1,
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
            if let Some((owner, ..)) = StorageKey::parse_stand_in(storage_key) {
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
    let storage_key = |owner: &NodeId| StorageKey::stand_in(*owner, bucket.id, token, item.key.as_bytes());
    let keys: Vec<StorageKey> = owners.iter().map(storage_key).collect();
    let borrowed: Vec<&[u8]> = keys.iter().map(StorageKey::as_bytes).collect();
    let (mut merged, mut damaged) = (None::<Record>, false);
    let result = store.get_many(&borrowed, &mut |index, bytes| {
        let (Some(bytes), Some(storage_key)) = (bytes, borrowed.get(index)) else { return };
        let cell = CellView::decode(bytes, storage_key, bucket.id, &item.key);
        match cell.and_then(|cell| cell.decode_record()) {
            Ok(record) => merged.get_or_insert_default().merge(record, &*bucket.resolver),
            Err(_) => damaged = true,
        }
    });
    match (result, merged) {
        (Err(_), _) => ReadAnswer::Refused(ErrorKind::StorageFailed),
        (Ok(()), _) if damaged => ReadAnswer::Refused(ErrorKind::Damaged),
        (Ok(()), None) => ReadAnswer::Absent,
        (Ok(()), Some(record)) => {
            ReadAnswer::Record(EncodedRecord::encode(&record, bucket.id, &item.key).into_bytes())
        }
    }
}
