use smallvec::SmallVec;

use crate::causality::{Dot, Stamp};
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, NodeId};
use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::record::{
    Cell, CellView, EncodedRecord, OwnActor, Record, RecoveringMark, Version, damage_number,
};
use crate::replica::trees::LeafChange;
use crate::replica::{Merge, Mint, Minter, StandInCopy};
use crate::storage::Batch;
use crate::time::Now;
use crate::tree::{self, LeafId};
use crate::view::View;

/// What the batch in the making holds under one key: what was read, and what the mutations so far made of it.
#[derive(Debug)]
pub(super) struct Held {
    state: State,
    /// Bytes in the store.
    stored: usize,
    /// The digest of what is in the store; none if it is damaged, or a copy for an absent owner.
    digest: Option<u64>,
    changed: bool,
    /// Versions that arrived and that the resolver let go for a concurrent one.
    pub(super) discarded: u64,
}

#[derive(Debug)]
enum State {
    Absent,
    /// By the number of the damage.
    Damaged(u64),
    Cell(Cell),
}

impl State {
    /// What it adds to the digest of its leaf; a record that is recovering counts as none, so that it differs until it is whole.
    fn digest(&self, view: &View, storage_key: &StorageKey) -> Option<u64> {
        let (bucket, _, key) = StorageKey::parse(storage_key.as_bytes())?;
        match self {
            State::Damaged(_) => None,
            State::Cell(cell) if cell.recovering.is_none() || mutants::on(Mutant::RecoveringIsInTrees) => {
                Some(tree::digest(view.secret(), bucket, key, &cell.record.dots().ok()?))
            }
            State::Absent | State::Cell(_) => Some(0),
        }
    }
}

impl Held {
    /// What the store has under the key of `merge` or `mint`.
    pub(super) fn read(
        view: &View,
        bytes: Option<&[u8]>,
        storage_key: &StorageKey,
        (bucket, key): (BucketId, &Key),
    ) -> Self {
        let state = match bytes {
            None => State::Absent,
            Some(bytes) => match CellView::decode(bytes, storage_key.as_bytes(), bucket, key) {
                Ok(cell) => State::Cell(cell.to_cell()),
                Err(_) => State::Damaged(damage_number(bytes)),
            },
        };
        let digest = state.digest(view, storage_key);
        Held { state, stored: bytes.map_or(0, <[u8]>::len), digest, changed: false, discarded: 0 }
    }

    /// What the changes do to the leaf in which the record lies; nothing for a copy for an absent owner.
    pub(super) fn leaf_change(&self, view: &View, storage_key: &StorageKey) -> Option<LeafChange> {
        let (bucket, token, _) = StorageKey::parse(storage_key.as_bytes()).filter(|_| self.changed)?;
        let leaf = LeafId::of(bucket, token, view.layout.partitioning());
        let after = self.state.digest(view, storage_key);
        let delta = self.digest.zip(after).map(|(before, after)| after.wrapping_sub(before));
        (delta != Some(0)).then_some(LeafChange { leaf, delta })
    }

    /// Merges a record that another replica made. Refuses nothing and drops nothing.
    pub(super) fn merge(&mut self, view: &View, merge: &Merge) -> Result<(), ErrorKind> {
        let owners = view.owners(&merge.bucket, merge.token);
        let write_quorum_min = usize::from(merge.bucket.properties.w_min);
        let (own, mark, record) = match &self.state {
            State::Absent => (None, None, merge.record.clone()),
            // Nobody reads a copy for an absent owner as a whole: it has nothing to recover.
            State::Damaged(_) if merge.stand_in_for.is_some() => (None, None, merge.record.clone()),
            State::Damaged(damage) => (None, damage_mark(*damage), merge.record.clone()),
            State::Cell(cell) => {
                let (record, discarded) = merged(cell, merge)?;
                self.discarded += discarded;
                (cell.own, cell.recovering.clone(), record)
            }
        };
        let recovering =
            mark.and_then(|mark| settle_mark(mark, merge, view.node(), owners, write_quorum_min));
        self.replace(Cell { own, recovering, record });
        Ok(())
    }

    /// Makes a new version and joins it to what is held.
    pub(super) fn mint(
        &mut self,
        view: &View,
        mint: &Mint,
        minter: &mut Minter,
        now: Now,
    ) -> Result<(Dot, Stamp, EncodedRecord), Error> {
        if now.monotonic_us > mint.deadline_us {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the deadline passed before the write was made: nothing was written",
            ));
        }
        let (own, recovering, mut record) = match &self.state {
            State::Absent => (None, None, Record::new()),
            // No base for anything: the write is kept beside a mark, under an actor that nobody has seen.
            State::Damaged(_) if mint.stand_in_for.is_some() => (None, None, Record::new()),
            State::Damaged(damage) => (None, damage_mark(*damage), Record::new()),
            State::Cell(cell) => {
                let record = cell.record.decode().map_err(|error| damaged(&error))?;
                (cell.own, cell.recovering.clone(), record)
            }
        };
        let dot = minter.dot(own, &record).ok_or_else(read_only)?;
        let stamp = minter.stamp(now, mint.context.stamp.max(record.stamp()));
        let version = Version {
            dot,
            past: if mutants::on(Mutant::BlindPutReplaces) {
                record.context().dots
            } else {
                mint.context.dots.clone()
            },
            stamp,
            expiry: mint.expiry,
            id: mint.id,
            value: mint.value.clone(),
        };
        record.add(version, &*mint.bucket.resolver);
        check_siblings(view, mint, &record)?;
        let encoded = EncodedRecord::encode(&record, mint.bucket.id, &mint.key);
        if encoded.len() > view.limits.record_bytes_max {
            return Err(Error::new(
                ErrorKind::RecordTooLarge,
                format!(
                    "the key's versions would take {} bytes, {} are allowed: get, resolve, and put with the context",
                    encoded.len(),
                    view.limits.record_bytes_max
                ),
            ));
        }
        let own = OwnActor { actor: dot.actor, counter: dot.counter };
        self.replace(Cell { own: Some(own), recovering, record: encoded.clone() });
        if mutants::on(Mutant::SendsVersionInsteadOfRecord) {
            let only = record.versions().iter().filter(|version| version.dot == dot).cloned();
            return Ok((dot, stamp, EncodedRecord::encode(&only.collect(), mint.bucket.id, &mint.key)));
        }
        Ok((dot, stamp, encoded))
    }

    /// Adds what changed to `batch`.
    ///
    /// Returns the bytes that are stored before and after it, if anything changed.
    pub(super) fn store(
        &self,
        storage_key: &StorageKey,
        batch: &mut Batch,
        scratch: &mut Vec<u8>,
    ) -> Option<(u64, u64)> {
        if !self.changed {
            return None;
        }
        scratch.clear();
        match &self.state {
            State::Cell(cell) => {
                cell.encode_into(storage_key.as_bytes(), scratch);
                batch.put(storage_key.as_bytes(), &[scratch]);
            }
            State::Absent if self.stored > 0 => batch.delete(storage_key.as_bytes()),
            State::Absent | State::Damaged(_) => {}
        }
        Some((self.stored as u64, scratch.len() as u64))
    }

    /// Lets go of the versions of a copy for an absent owner that the owner has committed.
    pub(super) fn release(&mut self, delivered: &StandInCopy) {
        let State::Cell(cell) = &self.state else { return };
        let (Ok(held), Ok(theirs)) = (cell.record.decode(), delivered.record.decode()) else { return };
        let dots: SmallVec<[Dot; 4]> = theirs.versions().iter().map(|version| version.dot).collect();
        let left: Record = held.into_versions().filter(|version| !dots.contains(&version.dot)).collect();
        if left.is_empty() {
            self.state = State::Absent;
            self.changed = true;
            return;
        }
        let record = EncodedRecord::encode(&left, delivered.bucket, &delivered.key);
        self.replace(Cell { own: cell.own, recovering: None, record });
    }

    fn replace(&mut self, cell: Cell) {
        let same = matches!(&self.state, State::Cell(before) if *before == cell);
        if !same {
            self.state = State::Cell(cell);
            self.changed = true;
        }
    }
}

/// The record that a cell and what arrived come to, and how many versions of the latter the resolver let go for a concurrent one.
fn merged(cell: &Cell, merge: &Merge) -> Result<(EncodedRecord, u64), ErrorKind> {
    if cell.record == merge.record || mutants::on(Mutant::MergeOverwrites) {
        return Ok((merge.record.clone(), 0));
    }
    // Both passed their checksums, so only a bug or a forger could have made them malformed.
    let mut record = cell.record.decode().map_err(|_| ErrorKind::Damaged)?;
    let other = merge.record.decode().map_err(|_| ErrorKind::InvalidFrame)?;
    let is_new = |version: &&Version| record.versions().iter().all(|ours| ours.dot != version.dot);
    let new: SmallVec<[Dot; 4]> = other.versions().iter().filter(is_new).map(|version| version.dot).collect();
    record.merge(other, &*merge.bucket.resolver);
    let discarded = new.into_iter().filter(|dot| {
        !record.versions().iter().any(|version| version.dot == *dot || version.past.contains(*dot))
    });
    let discarded = discarded.count() as u64;
    Ok((EncodedRecord::encode(&record, merge.bucket.id, &merge.key), discarded))
}

/// The mark of a record that begins anew where one was damaged.
fn damage_mark(damage: u64) -> Option<RecoveringMark> {
    (!mutants::on(Mutant::WriteClearsDamage)).then(|| RecoveringMark::new(damage))
}

fn settle_mark(
    mut mark: RecoveringMark,
    merge: &Merge,
    node: NodeId,
    owners: &[NodeId],
    write_quorum_min: usize,
) -> Option<RecoveringMark> {
    let forgets = mutants::on(Mutant::StaleSourcesHeal);
    if let Some(heal) = merge.heal.as_ref().filter(|heal| heal.damage == mark.damage() || forgets) {
        for source in &heal.sources {
            mark.merged_with(source.node, source.complete);
        }
    }
    (!mark.is_over(node, owners, write_quorum_min)).then_some(mark)
}

fn check_siblings(view: &View, mint: &Mint, record: &Record) -> Result<(), Error> {
    let bucket_max = mint.bucket.properties.siblings_max.map_or(usize::MAX, |most| most as usize);
    let most = view.limits.siblings_max.min(bucket_max);
    if record.versions().len() <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooManySiblings,
        format!(
            "the key would have more than {most} concurrent versions: get, resolve, and put with the context"
        ),
    ))
}

fn damaged(error: &crate::record::RecordError) -> Error {
    Error::new(ErrorKind::Damaged, format!("this node's record of the key is damaged: {error}"))
}

fn read_only() -> Error {
    Error::new(
        ErrorKind::ReadOnly,
        "this node cannot store a new incarnation and takes no writes: free space on its disk, or write through another node",
    )
}
