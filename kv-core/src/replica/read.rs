use smallvec::SmallVec;

use crate::error::ErrorKind;
use crate::ids::{BucketId, Epoch, Token};
use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::record::{CellView, Provenance, damage_number};
use crate::replica::Epochs;
use crate::replica::copies::read_as_stand_in;
use crate::storage::Storage;
use crate::tree::LeafId;
use crate::view::View;
use crate::wire::{ReadAnswer, ReadItem};

/// Reads one record for a peer or for this node's own coordinator: a function of the view and the committed store, on no queue.
/// `buffer` is scratch space that is reused from call to call.
pub fn read(
    view: &View,
    store: &dyn Storage,
    epochs: &Epochs,
    item: &ReadItem,
    buffer: &mut Vec<u8>,
) -> ReadAnswer {
    let Some(bucket) = view.bucket_by_id(item.bucket) else {
        return ReadAnswer::Refused(ErrorKind::UnknownBucket);
    };
    if item.stand_in {
        let token = view.token(&item.key);
        return read_as_stand_in(store, view.owners(bucket, token), bucket, token, item);
    }
    let token = view.token(&item.key);
    let standing = match standing(view, epochs, item, token) {
        Ok(standing) => standing,
        Err(kind) => return ReadAnswer::Refused(kind),
    };
    let storage_key = StorageKey::new(item.bucket, token, item.key.as_bytes());
    match store.get(storage_key.as_bytes(), buffer) {
        Ok(true) => answer(item, standing, &storage_key, buffer),
        Ok(false) => ReadAnswer::Absent(standing.epoch),
        Err(_) => ReadAnswer::Refused(ErrorKind::StorageFailed),
    }
}

/// How a replica stands to a partition when a record of it is read.
#[derive(Debug, Clone, Copy)]
struct Standing {
    epoch: Epoch,
    /// Whether it lacks something of the partition. A record that is damaged is then missing like others, and comes back with them.
    lacks: bool,
}

/// How this replica stands when a read is made; an error if it lacks something and is asked for its vote. It is looked at before the record, which may
/// be a later one but no earlier one.
fn standing(view: &View, epochs: &Epochs, item: &ReadItem, token: Token) -> Result<Standing, ErrorKind> {
    let tree = LeafId::of(item.bucket, token, view.layout.partitioning()).tree;
    let lacks = epochs.is_recovering(tree);
    if lacks && !item.repairs {
        Err(ErrorKind::Recovering)
    } else {
        Ok(Standing { epoch: epochs.epoch(tree), lacks })
    }
}

/// Reads one cell of the local store and shows it to `show` where it lies, so that nothing is copied that is not kept; `None` if there is none.
///
/// # Errors
///
/// Why the cell cannot be had.
pub fn read_cell<R>(
    store: &dyn Storage,
    target: (BucketId, Token, &Key),
    buffer: &mut Vec<u8>,
    show: impl FnOnce(CellView<'_>) -> R,
) -> Result<Option<R>, ErrorKind> {
    let (bucket, token, key) = target;
    let storage_key = StorageKey::new(bucket, token, key.as_bytes());
    match store.get(storage_key.as_bytes(), buffer) {
        Ok(true) => match CellView::decode(buffer, storage_key.as_bytes(), bucket, key) {
            Ok(cell) => Ok(Some(show(cell))),
            Err(_) => Err(ErrorKind::Damaged),
        },
        Ok(false) => Ok(None),
        Err(_) => Err(ErrorKind::StorageFailed),
    }
}

/// Reads many records from one state of the store.
pub fn read_many(view: &View, store: &dyn Storage, epochs: &Epochs, items: &[ReadItem]) -> Vec<ReadAnswer> {
    if items.len() == 1 || items.iter().any(|item| item.stand_in) {
        let mut buffer = Vec::with_capacity(256);
        return items.iter().map(|item| read(view, store, epochs, item, &mut buffer)).collect();
    }
    let tokens: SmallVec<[Token; 16]> = items.iter().map(|item| view.token(&item.key)).collect();
    let pairs = || items.iter().zip(&tokens);
    let known: SmallVec<[Result<Standing, ErrorKind>; 16]> =
        pairs().map(|(item, token)| standing(view, epochs, item, *token)).collect();
    let storage_keys: Vec<StorageKey> =
        pairs().map(|(item, token)| StorageKey::new(item.bucket, *token, item.key.as_bytes())).collect();
    let keys: SmallVec<[&[u8]; 16]> = storage_keys.iter().map(StorageKey::as_bytes).collect();
    let mut answers = Vec::with_capacity(items.len());
    let result = store.get_many(&keys, &mut |index, bytes| {
        let (Some(item), Some(storage_key), Some(standing)) =
            (items.get(index), storage_keys.get(index), known.get(index))
        else {
            return;
        };
        answers.push(match (standing, bytes) {
            _ if view.bucket_by_id(item.bucket).is_none() => ReadAnswer::Refused(ErrorKind::UnknownBucket),
            (Err(kind), _) => ReadAnswer::Refused(*kind),
            (Ok(standing), Some(bytes)) => answer(item, *standing, storage_key, bytes),
            (Ok(standing), None) => ReadAnswer::Absent(standing.epoch),
        });
    });
    if result.is_err() {
        return vec![ReadAnswer::Refused(ErrorKind::StorageFailed); items.len()];
    }
    answers
}

fn answer(item: &ReadItem, standing: Standing, storage_key: &StorageKey, bytes: &[u8]) -> ReadAnswer {
    let epoch = standing.epoch;
    let read = |cell: &CellView<'_>| Provenance { epoch, sinces: cell.sinces.clone() };
    match CellView::decode(bytes, storage_key.as_bytes(), item.bucket, &item.key) {
        Ok(cell) => match &cell.recovering {
            Some(mark) => ReadAnswer::Recovering(mark.damage(), read(&cell), cell.record().into_bytes()),
            None if item.unless == Some(cell.digest) => ReadAnswer::Unchanged,
            None => ReadAnswer::Record(read(&cell), cell.record().into_bytes()),
        },
        Err(_) if standing.lacks || mutants::on(Mutant::DamagedCountsAsMissing) => ReadAnswer::Absent(epoch),
        Err(_) => ReadAnswer::Damaged(damage_number(bytes)),
    }
}
