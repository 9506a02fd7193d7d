//! The epochs as they are stored, among the store's own metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Epoch, NodeId};
use crate::key::StorageKey;
use crate::record::RecoveringMark;
use crate::replica::epochs::{Epochs, Stored};
use crate::replica::pieces::{each_piece, piece_key};
use crate::storage::{Batch, Storage};
use crate::tree::TreeId;

const EPOCH: &str = "epoch/";
/// Says that the store took the place of one that was lost.
const REPLACEMENT: &str = "replacement";

#[derive(Serialize, Deserialize)]
struct Piece {
    epoch: Epoch,
    asked: Epoch,
    cleared: Epoch,
    ages: u64,
    is_recovering: bool,
    merged: Vec<(NodeId, bool)>,
}

/// Loads the epochs of a store that is being opened.
///
/// # Errors
///
/// Those of the storage.
pub(in crate::replica) fn load(store: &dyn Storage) -> Result<Epochs, Error> {
    let mut mark = Vec::new();
    let is_replacement = store.get(StorageKey::meta(REPLACEMENT).as_bytes(), &mut mark)?;
    let replaced = if is_replacement { buckets(&mark)? } else { BTreeSet::new() };
    let mut states = BTreeMap::new();
    each_piece(store, EPOCH, |id, bytes| {
        // What is damaged is not known: it begins as after a loss, and what is older than that of the others is emptied.
        states.insert(id, decode(bytes).unwrap_or_else(|| REPLACED_STORE.clone()));
    })?;
    Ok(Epochs::new(states, replaced))
}

/// Marks a new store as one that takes the place of another, which was lost: nothing of these buckets is complete in it.
pub(in crate::replica) fn put_replacement(batch: &mut Batch, buckets: &[BucketId]) {
    let mut mark = Vec::with_capacity(4 * buckets.len() + 8);
    buckets.iter().for_each(|bucket| mark.extend_from_slice(&bucket.0.to_le_bytes()));
    let checksum = xxh3_64(&mark);
    mark.extend_from_slice(&checksum.to_le_bytes());
    batch.put(StorageKey::meta(REPLACEMENT).as_bytes(), &[&mark]);
}

/// The buckets of a mark.
fn buckets(mark: &[u8]) -> Result<BTreeSet<BucketId>, Error> {
    let checked = mark.split_last_chunk::<8>().filter(|(front, checksum)| {
        xxh3_64(front) == u64::from_le_bytes(**checksum) && front.len().is_multiple_of(4)
    });
    let Some((front, _)) = checked else {
        let message = "what says of which buckets the store lacks data is damaged: take its data directory away and run kv cluster init --replace";
        return Err(Error::new(ErrorKind::Damaged, message));
    };
    let (buckets, _) = front.as_chunks::<4>();
    Ok(buckets.iter().map(|bucket| BucketId(u32::from_le_bytes(*bucket))).collect())
}

/// A partition of a store that begins with its cluster.
pub(super) static FIRST_STORE: Stored =
    Stored { epoch: Epoch::FIRST, asked: Epoch::FIRST, cleared: Epoch::NONE, recovering: None, ages: 0 };

/// A partition of a store that took the place of another.
pub(super) static REPLACED_STORE: LazyLock<Stored> = LazyLock::new(|| Stored {
    epoch: Epoch::FIRST,
    asked: Epoch::NONE,
    cleared: Epoch::NONE,
    recovering: Some(RecoveringMark::new(0)),
    ages: u64::MAX,
});

pub(super) fn remove(batch: &mut Batch, tree: TreeId) {
    batch.delete(piece_key(EPOCH, tree).as_bytes());
}

pub(super) fn put(batch: &mut Batch, tree: TreeId, stored: &Stored) {
    let piece = Piece {
        epoch: stored.epoch,
        asked: stored.asked,
        cleared: stored.cleared,
        ages: stored.ages,
        is_recovering: stored.recovering.is_some(),
        merged: stored.recovering.as_ref().map(|mark| mark.merged().to_vec()).unwrap_or_default(),
    };
    let mut bytes = match postcard::to_stdvec(&piece) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("an epoch does not encode: {error}"),
    };
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    batch.put(piece_key(EPOCH, tree).as_bytes(), &[&bytes]);
}

fn decode(bytes: &[u8]) -> Option<Stored> {
    let (front, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(front) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let Piece { epoch, asked, cleared, ages, is_recovering, merged } = postcard::from_bytes(front).ok()?;
    let recovering = is_recovering.then(|| {
        let mut mark = RecoveringMark::new(0);
        merged.into_iter().for_each(|(node, complete)| mark.merged_with(node, complete));
        mark
    });
    Some(Stored { epoch, asked, cleared, recovering, ages })
}
