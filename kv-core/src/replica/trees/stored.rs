//! The trees as they are stored, among the store's own metadata.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::BucketId;
use crate::key::StorageKey;
use crate::replica::pieces::{each_piece, piece_key};
use crate::replica::trees::{State, Trees};
use crate::storage::{Batch, Page, ScanRange, Storage, StorageError};
use crate::tree::{LEAVES, Tree, TreeId};

/// Says that the store was empty when trees began: a partition without a tree holds nothing.
const COMPLETE: &str = "trees";
const TREE: &str = "tree/";
const MARK: &str = "mark/";

/// Most bytes of a page of one entry.
const PAGE_BYTES: usize = 1 << 20;

/// Loads the trees of a store that is being opened. What does not pass its checksum has to be counted.
///
/// # Errors
///
/// Those of the storage.
pub(in crate::replica) fn load(store: &dyn Storage, batch: &mut Batch) -> Result<Trees, StorageError> {
    let complete = StorageKey::meta(COMPLETE);
    let mut value = Vec::new();
    let absent = if store.get(complete.as_bytes(), &mut value)? {
        Tree::EMPTY
    } else if is_any(store)? {
        Tree::UNKNOWN
    } else {
        batch.put(complete.as_bytes(), &[&[1]]);
        Tree::EMPTY
    };
    let mut trees = BTreeMap::new();
    each_piece(store, TREE, |id, bytes| {
        let tree = words(bytes).and_then(|words| {
            let (known, sums) = words.split_last()?;
            Tree::of(sums, *known)
        });
        trees.insert(id, State { tree: tree.unwrap_or(Tree::UNKNOWN), marked: 0 });
    })?;
    each_piece(store, MARK, |id, bytes| {
        let marked = words(bytes).and_then(|words| words.first().copied()).unwrap_or(u64::MAX);
        let state = trees.entry(id).or_insert(State { tree: absent, marked: 0 });
        state.marked = marked;
        for leaf in (0..LEAVES as u8).filter(|leaf| marked & 1 << leaf != 0) {
            state.tree.forget(leaf);
        }
    })?;
    Ok(Trees::new(trees, absent))
}

fn is_any(store: &dyn Storage) -> Result<bool, StorageError> {
    let mut page = Page::new(1, PAGE_BYTES);
    let [start, end] = [BucketId(1), BucketId::STAND_IN].map(|bucket| bucket.0.to_be_bytes());
    store.scan(ScanRange::new(&start, &end), &mut page)?;
    Ok(page.entries().len() > 0)
}

/// Whether nothing is stored of a bucket, as far as can be told.
pub(super) fn is_empty(store: &dyn Storage, bucket: BucketId) -> bool {
    let mut page = Page::new(1, PAGE_BYTES);
    let end = bucket.0.saturating_add(1).to_be_bytes();
    let found = store.scan(ScanRange::new(&bucket.0.to_be_bytes(), &end), &mut page);
    found.is_ok() && page.entries().len() == 0
}

pub(super) fn put_tree(batch: &mut Batch, id: TreeId, tree: &Tree) {
    let known = tree.unknown().fold(u64::MAX, |known, leaf| known & !(1 << leaf));
    let words = tree.sums().iter().copied().chain([known]);
    put(batch, TREE, id, words);
    batch.delete(piece_key(MARK, id).as_bytes());
}

pub(super) fn put_mark(batch: &mut Batch, id: TreeId, marked: u64) {
    put(batch, MARK, id, [marked]);
}

pub(super) fn remove_tree(batch: &mut Batch, id: TreeId) {
    batch.delete(piece_key(TREE, id).as_bytes());
    batch.delete(piece_key(MARK, id).as_bytes());
}

fn put(batch: &mut Batch, prefix: &str, id: TreeId, words: impl IntoIterator<Item = u64>) {
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    batch.put(piece_key(prefix, id).as_bytes(), &[&bytes]);
}

fn words(bytes: &[u8]) -> Option<Vec<u64>> {
    let (front, checksum) = bytes.split_last_chunk::<8>()?;
    let is_whole = xxh3_64(front) == u64::from_le_bytes(*checksum) && front.len() % 8 == 0;
    let words = front.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
    is_whole.then(|| words.collect())
}
