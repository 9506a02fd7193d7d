use bytes::Bytes;

use crate::command::ScanPosition;
use crate::error::ErrorKind;
use crate::ids::{BucketId, Token};
use crate::key::{Key, STORAGE_PREFIX_BYTES, StorageKey};
use crate::record::CellView;
use crate::storage::{Page, ScanRange, Storage};
use crate::view::View;
use crate::wire::{RangeAnswer, RangeEntry, RangeItem, RangePage, RangeState};

/// Most bytes of cells that are looked at for one page.
const BYTES_MAX: usize = 1 << 20;

/// Most cells that are looked at for one page, if only keys with a prefix are wanted.
const EXAMINED_MAX: usize = 4_000;

/// Reads a part of a range for a peer or for this node's own coordinator: a function of the view and the committed store, on no queue.
///
/// A page ends before a token of which it cannot say that it has all keys, if it has any other.
pub fn read_range(view: &View, store: &dyn Storage, item: &RangeItem) -> RangeAnswer {
    if view.bucket_by_id(item.bucket).is_none() {
        return RangeAnswer::Refused(ErrorKind::UnknownBucket);
    }
    let wanted = (item.entries_max as usize).clamp(1, view.limits.batch_keys_max);
    // One more than is wanted shows whether the last token is complete.
    let examined = if item.prefix.is_empty() { wanted + 1 } else { EXAMINED_MAX.max(wanted + 1) };
    let mut page = Page::new(examined, BYTES_MAX);
    let from = StorageKey::new(
        item.bucket,
        item.from.token,
        item.from.after.as_ref().map(Key::as_bytes).unwrap_or_default(),
    );
    let end = end_of(item.bucket, item.last);
    let after = item.from.after.is_some().then(|| from.as_bytes());
    let range = ScanRange { start: from.as_bytes(), end: &end, after };
    if store.scan(range, &mut page).is_err() {
        return RangeAnswer::Refused(ErrorKind::StorageFailed);
    }
    // A store with keys that are none is not to be trusted.
    cut(item, &page, wanted).map_or(RangeAnswer::Refused(ErrorKind::Damaged), RangeAnswer::Page)
}

fn cut(item: &RangeItem, page: &Page, wanted: usize) -> Option<RangePage> {
    let count = page.entries().len();
    let mut entries = Vec::with_capacity(count.min(wanted));
    let mut before: Option<(Token, Key)> = None;
    for (place, (storage_key, cell)) in page.entries().enumerate() {
        let (token, key) = parse(storage_key)?;
        let is_beyond = entries.len() == wanted || page.is_full() && place + 1 == count;
        if is_beyond && let Some((last, after)) = before {
            let after = (last == token).then_some(after);
            return Some(RangePage { entries, next: Some(ScanPosition { token, after }) });
        }
        if key.as_bytes().starts_with(&item.prefix) {
            entries.push(RangeEntry { state: state(item, storage_key, cell, &key), key: key.clone() });
        }
        before = Some((token, key));
    }
    // A single entry can fill a page.
    let next = before.filter(|_| page.is_full());
    Some(RangePage { entries, next: next.map(|(token, key)| ScanPosition { token, after: Some(key) }) })
}

fn state(item: &RangeItem, storage_key: &[u8], bytes: &[u8], key: &Key) -> RangeState {
    let Ok(cell) = CellView::decode(bytes, storage_key, item.bucket, key) else { return RangeState::Unsure };
    if cell.recovering.is_some() {
        return RangeState::Unsure;
    }
    if item.records {
        return RangeState::Record(cell.record().into_bytes());
    }
    match cell.decode_record() {
        Ok(record) => {
            RangeState::Digest(cell.digest, record.versions().iter().any(|version| version.value.is_some()))
        }
        Err(_) => RangeState::Unsure,
    }
}

fn parse(storage_key: &[u8]) -> Option<(Token, Key)> {
    let token = storage_key.get(4..STORAGE_PREFIX_BYTES)?.first_chunk()?;
    let key = Key::new(Bytes::copy_from_slice(storage_key.get(STORAGE_PREFIX_BYTES..)?)).ok()?;
    Some((Token(u64::from_be_bytes(*token)), key))
}

/// The first storage key behind a token of a bucket; empty if nothing can be.
fn end_of(bucket: BucketId, last: Token) -> Vec<u8> {
    match last.0.checked_add(1) {
        Some(next) => StorageKey::new(bucket, Token(next), b"").as_bytes().to_vec(),
        None => bucket.0.checked_add(1).map_or(Vec::new(), |next| next.to_be_bytes().to_vec()),
    }
}
