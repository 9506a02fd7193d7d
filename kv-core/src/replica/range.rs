use bytes::Bytes;
use smallvec::SmallVec;

use crate::causality::Dot;
use crate::command::ScanPosition;
use crate::error::ErrorKind;
use crate::ids::{PartitionId, Token};
use crate::key::{Key, STORAGE_PREFIX_BYTES, StorageKey};
use crate::mutants::{self, Mutant};
use crate::record::{CellView, Expiry, Version};
use crate::replica::Epochs;
use crate::storage::{Page, ScanRange, Storage};
use crate::tree::{TreeId, digest};
use crate::view::View;
use crate::wire::{RangeAnswer, RangeEntry, RangeItem, RangePage, RangeState};

/// Most bytes of cells that are looked at for one page.
const BYTES_MAX: usize = 1 << 20;

/// Most cells that are looked at for one page, if few of them are wanted.
const EXAMINED_MAX: usize = 4_000;

/// Reads a part of a range for a peer or for this node's own coordinator: a function of the view and the committed store, on no queue.
///
/// A page ends before a token of which it cannot say that it has all keys, if it has any other. Tombstones are in it, since others may
/// have values of those keys, and do not count.
pub fn read_range(view: &View, store: &dyn Storage, epochs: &Epochs, item: &RangeItem) -> RangeAnswer {
    if view.bucket_by_id(item.bucket).is_none() {
        return RangeAnswer::Refused(ErrorKind::UnknownBucket);
    }
    let partitioning = view.layout.partitioning();
    let partitions = partitioning.partition(item.from.token).0..=partitioning.partition(item.last).0;
    let lacks =
        |partition| epochs.is_recovering(TreeId { bucket: item.bucket, partition: PartitionId(partition) });
    let lacks = epochs.may_any_recover() && partitions.into_iter().any(lacks);
    if lacks && !item.repairs {
        return RangeAnswer::Refused(ErrorKind::Recovering);
    }
    let wanted = (item.entries_max as usize).clamp(1, view.limits.batch_keys_max);
    let reading = Reading { view, item, lacks, wanted, entries: Vec::new(), alive: 0, before: None };
    match reading.read(store) {
        Ok(page) => RangeAnswer::Page(page),
        Err(kind) => RangeAnswer::Refused(kind),
    }
}

/// A page in the making.
struct Reading<'a> {
    view: &'a View,
    item: &'a RangeItem,
    /// Whether this replica lacks something of the partition: a record that is damaged is then missing like others.
    lacks: bool,
    wanted: usize,
    entries: Vec<RangeEntry>,
    /// Entries that may have a value.
    alive: usize,
    /// What was looked at last.
    before: Option<(Token, Key)>,
}

impl Reading<'_> {
    fn read(mut self, store: &dyn Storage) -> Result<RangePage, ErrorKind> {
        let RangeItem { bucket, from, last, .. } = self.item;
        let start =
            StorageKey::new(*bucket, from.token, from.after.as_ref().map(Key::as_bytes).unwrap_or_default());
        let end = StorageKey::end_of(*bucket, *last);
        let mut after = from.after.is_some().then(|| start.as_bytes().to_vec());
        // One more than is wanted shows whether the last token is complete.
        let mut step = self.wanted + 1;
        let (mut entries_left, mut bytes_left) = (EXAMINED_MAX.max(step), BYTES_MAX);
        loop {
            let most = step.min(entries_left);
            let mut page = Page::new(most, bytes_left);
            let range = ScanRange { start: start.as_bytes(), end: &end, after: after.as_deref() };
            store.scan(range, &mut page).map_err(|_| ErrorKind::StorageFailed)?;
            let count = page.entries().len();
            entries_left -= count.min(entries_left);
            bytes_left -= page.bytes().min(bytes_left);
            let is_last = page.is_full() && (entries_left == 0 || count < most);
            for (place, (storage_key, cell)) in page.entries().enumerate() {
                if let Some(next) = self.take(storage_key, cell, is_last && place + 1 == count)? {
                    return Ok(RangePage { entries: self.entries, next: Some(next) });
                }
            }
            if !page.is_full() {
                return Ok(RangePage { entries: self.entries, next: None });
            }
            if is_last {
                // A single entry can fill a page.
                let next = self.before.map(|(token, key)| ScanPosition { token, after: Some(key) });
                return Ok(RangePage { entries: self.entries, next });
            }
            after = page.last_key().map(<[u8]>::to_vec);
            step *= 4;
        }
    }

    /// Takes an entry, or says that the page ends before it.
    fn take(
        &mut self,
        storage_key: &[u8],
        cell: &[u8],
        is_last: bool,
    ) -> Result<Option<ScanPosition>, ErrorKind> {
        // A store with keys that are none is not to be trusted.
        let (token, key) = parse(storage_key).ok_or(ErrorKind::Damaged)?;
        let is_beyond = self.alive == self.wanted || is_last;
        if is_beyond && let Some((last, after)) = self.before.take() {
            let after = (last == token).then_some(after);
            return Ok(Some(ScanPosition { token, after }));
        }
        if key.as_bytes().starts_with(&self.item.prefix) {
            let state = state(self.view, self.item, storage_key, cell, &key);
            if !(self.lacks && matches!(state, RangeState::Unsure)) {
                self.alive += usize::from(!matches!(state, RangeState::Digest(_, 0)));
                self.entries.push(RangeEntry { token, key: key.clone(), state });
            }
        }
        self.before = Some((token, key));
        Ok(None)
    }
}

fn state(view: &View, item: &RangeItem, storage_key: &[u8], bytes: &[u8], key: &Key) -> RangeState {
    let Ok(cell) = CellView::decode(bytes, storage_key, item.bucket, key) else { return RangeState::Unsure };
    if cell.recovering.is_some() {
        return RangeState::Unsure;
    }
    let Ok(record) = cell.decode_record() else { return RangeState::Unsure };
    let lives_until = |version: &Version| version.expires_at_ms().unwrap_or(Expiry::NEVER_MS);
    let with_value = record.versions().iter().filter(|version| !version.is_tombstone());
    let listed = mutants::on(Mutant::ScanListsDeleted).then_some(Expiry::NEVER_MS);
    match with_value.map(lives_until).max().or(listed) {
        Some(_) if item.records => RangeState::Record(cell.record().into_bytes()),
        until_ms => {
            let dots: SmallVec<[Dot; 2]> = record.versions().iter().map(|version| version.dot).collect();
            let digest = digest(view.secret(), item.bucket, key.as_bytes(), &dots);
            RangeState::Digest(digest, until_ms.unwrap_or(0))
        }
    }
}

fn parse(storage_key: &[u8]) -> Option<(Token, Key)> {
    let token = storage_key.get(4..STORAGE_PREFIX_BYTES)?.first_chunk()?;
    let key = Key::new(Bytes::copy_from_slice(storage_key.get(STORAGE_PREFIX_BYTES..)?)).ok()?;
    Some((Token(u64::from_be_bytes(*token)), key))
}
