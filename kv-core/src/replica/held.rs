use smallvec::SmallVec;

use crate::causality::{Dot, DotSet};
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Epoch, NodeId};
use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::record::{
    Cell, CellView, EncodedRecord, OwnActor, PastNames, Provenance, Record, RecoveringMark, Sinces, Version,
    damage_number,
};
use crate::replica::aged::{Age, Aged};
use crate::replica::trees::LeafChange;
use crate::replica::{Merge, Mint, MintedRecord, Minter, StandInCopy};
use crate::storage::Batch;
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
    /// Whether something was put into it that goes some time.
    pub(super) ages: bool,
    /// Versions that arrived and that the resolver let go for a concurrent one.
    pub(super) discarded: u64,
}

/// What stands beside a record in its cell.
#[derive(Debug, Default)]
struct Beside {
    own: Option<OwnActor>,
    recovering: Option<RecoveringMark>,
    names: PastNames,
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
        Held {
            state,
            stored: bytes.map_or(0, <[u8]>::len),
            digest,
            changed: false,
            ages: false,
            discarded: 0,
        }
    }

    /// What the changes do to the leaf in which the record lies; nothing for a copy for an absent owner.
    pub(super) fn leaf_change(&self, view: &View, storage_key: &StorageKey) -> Option<LeafChange> {
        let (bucket, token, _) = StorageKey::parse(storage_key.as_bytes()).filter(|_| self.changed)?;
        let leaf = LeafId::of(bucket, token, view.layout.partitioning());
        let after = self.state.digest(view, storage_key);
        let delta = self.digest.zip(after).map(|(before, after)| after.wrapping_sub(before));
        (delta != Some(0)).then_some(LeafChange { leaf, delta })
    }

    /// Merges a record that another replica made. What is older than the fence is refused (`docs/epochs.md`, rule 3); nothing that is taken is
    /// dropped unless it is due.
    pub(super) fn merge(&mut self, view: &View, merge: &Merge, age: Age) -> Result<(), ErrorKind> {
        let is_copy = merge.stand_in_for.is_some();
        let owners = view.owners(&merge.bucket, merge.token);
        let write_quorum_min = usize::from(merge.bucket.properties.w_min);
        let mut beside = self.beside(is_copy);
        let before = if let State::Cell(cell) = &self.state { Some(cell) } else { None };
        let settle = |mark| settle_mark(mark, merge, view.node(), owners, write_quorum_min);
        beside.recovering = beside.recovering.and_then(settle);
        if let Some(cell) = before
            && cell.record == merge.record
            && cell.sinces.entries().is_empty()
        {
            let cell = Cell { recovering: beside.recovering, ..cell.clone() };
            self.replace(cell);
            return Ok(());
        }
        // Both passed their checksums, so only a bug or a forger could have made them malformed.
        let theirs = merge.record.decode().map_err(|_| ErrorKind::InvalidFrame)?;
        let mut theirs = Aged::arrived(theirs, &merge.read);
        let all = match before {
            Some(cell) if !mutants::on(Mutant::MergeOverwrites) => {
                let ours = cell.record.decode().map_err(|_| ErrorKind::Damaged)?;
                let mut ours = if is_copy {
                    Aged::arrived(ours, &Provenance { sinces: cell.sinces.clone(), ..merge.read.clone() })
                } else {
                    Aged::own(ours, &cell.sinces, age)
                };
                if !is_copy {
                    ours.reap(age);
                    theirs.reap(age);
                }
                let new = new_in(&theirs.record, &ours.record);
                ours.merge(theirs, &*merge.bucket.resolver);
                self.discarded += gone_from(&ours.record, new);
                ours
            }
            _ => {
                if !is_copy {
                    theirs.reap(age);
                }
                theirs
            }
        };
        let age = (!is_copy).then_some(age);
        self.take(all, beside, (merge.bucket.id, &merge.key), (age.map(|age| age.epoch), age));
        Ok(())
    }

    /// What stands beside the record, to go on with.
    fn beside(&self, is_copy: bool) -> Beside {
        match &self.state {
            State::Absent => Beside::default(),
            // Nobody reads a copy for an absent owner as a whole: it has nothing to recover.
            State::Damaged(_) if is_copy => Beside::default(),
            State::Damaged(damage) => Beside { recovering: damage_mark(*damage), ..Beside::default() },
            State::Cell(cell) => {
                let (recovering, names) = (cell.recovering.clone(), cell.names.clone());
                Beside { own: cell.own, recovering, names }
            }
        }
    }

    /// Stores what a record has become; `epoch` is the one since which what is new in it is held, none for a copy that came for an absent owner; `age` is
    /// that of an owner.
    fn take(
        &mut self,
        mut all: Aged,
        mut beside: Beside,
        (bucket, key): (BucketId, &Key),
        (epoch, age): (Option<Epoch>, Option<Age>),
    ) -> (EncodedRecord, Sinces) {
        if let Some(age) = age {
            all.age_names(&mut beside.names, age);
        }
        let Beside { own, recovering, names } = beside;
        let record = EncodedRecord::encode(&all.record, bucket, key);
        self.ages |= epoch.is_some() && all.record.wants_epochs();
        let sinces = all.sinces(epoch);
        if all.record.is_empty() && recovering.is_none() && epoch.is_some() {
            // With the last version goes the actor: the next write gets a new birth.
            self.changed |= !matches!(self.state, State::Absent);
            self.state = State::Absent;
        } else {
            self.replace(Cell { own, recovering, sinces: sinces.clone(), names, record: record.clone() });
        }
        (record, sinces)
    }

    /// Lets go of what is due, and says whether something is left that will be.
    pub(super) fn reap(&mut self, age: Age, (bucket, key): (BucketId, &Key)) -> bool {
        let State::Cell(cell) = &self.state else { return false };
        let Ok(record) = cell.record.decode() else { return false };
        let mut all = Aged::own(record, &cell.sinces, age);
        let before = all.record.clone();
        let mut beside = self.beside(false);
        all.reap(age);
        all.age_names(&mut beside.names, age);
        let is_left = all.record.wants_epochs();
        if all.record != before {
            self.take(all, beside, (bucket, key), (Some(age.epoch), Some(age)));
        }
        is_left
    }

    /// Makes a new version and joins it to what is held.
    pub(super) fn mint(
        &mut self,
        view: &View,
        mint: &Mint,
        minter: &mut Minter,
        age: Age,
    ) -> Result<MintedRecord, Error> {
        let now = age.now;
        if now.monotonic_us > mint.deadline_us {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the deadline passed before the write was made: nothing was written",
            ));
        }
        let is_copy = mint.stand_in_for.is_some();
        let mut beside = self.beside(is_copy);
        let mut all = match &self.state {
            // What is damaged is no base for anything: the write is kept beside a mark, under an actor that nobody has seen.
            State::Absent | State::Damaged(_) => Aged::default(),
            State::Cell(cell) => {
                let record = cell.record.decode().map_err(|error| damaged(&error))?;
                Aged::own(record, &cell.sinces, age)
            }
        };
        let ages = (Some(age.epoch), (!is_copy).then_some(age));
        if let Some(found) = mint.found.as_deref() {
            let theirs = found.record.decode().map_err(|error| damaged(&error))?;
            let mut theirs = Aged::arrived(theirs, &found.read);
            all.reap(age);
            theirs.reap(age);
            all.merge(theirs, &*mint.bucket.resolver);
            let (record, sinces) = self.take(all, beside, (mint.bucket.id, &mint.key), ages);
            let read = Provenance { epoch: age.epoch.min(found.read.epoch), sinces };
            return Ok(MintedRecord { dot: found.dot, stamp: mint.context.stamp, record, read });
        }
        let dot = minter.dot(beside.own, &all.record).ok_or_else(read_only)?;
        let stamp = minter.stamp(now, mint.context.stamp.max(all.record.stamp()));
        // What nobody has any more need not be named.
        let gone = if is_copy { DotSet::new() } else { all.reap(age) };
        let past = if mutants::on(Mutant::BlindPutReplaces) {
            all.record.context().dots
        } else {
            mint.context.dots.without_actors_of(&gone)
        };
        all.record.add(mint.draft.clone().into_version(dot, past, stamp), &*mint.bucket.resolver);
        check_siblings(view, mint, &all.record)?;
        let only = mutants::on(Mutant::SendsVersionInsteadOfRecord).then(|| {
            let only = all.record.versions().iter().filter(|version| version.dot == dot).cloned();
            EncodedRecord::encode(&only.collect(), mint.bucket.id, &mint.key)
        });
        beside.own = Some(OwnActor { actor: dot.actor, counter: dot.counter });
        let before = (std::mem::replace(&mut self.state, State::Absent), self.changed);
        let (record, sinces) = self.take(all, beside, (mint.bucket.id, &mint.key), ages);
        if record.len() > view.limits.record_bytes_max {
            (self.state, self.changed) = before;
            return Err(Error::new(
                ErrorKind::RecordTooLarge,
                format!(
                    "the key's versions would take {} bytes, {} are allowed: get, resolve, and put with the context",
                    record.len(),
                    view.limits.record_bytes_max
                ),
            ));
        }
        let read = Provenance { epoch: age.epoch, sinces };
        Ok(MintedRecord { dot, stamp, record: only.unwrap_or(record), read })
    }

    /// Whether a record is held that is not whole.
    pub(super) fn is_recovering(&self) -> bool {
        matches!(&self.state, State::Cell(Cell { recovering: Some(_), .. }))
    }

    /// What is missing is known to be missing with much else.
    pub(super) fn forget_mark(&mut self) {
        if let State::Cell(cell) = &self.state {
            let cell = Cell { recovering: None, ..cell.clone() };
            match cell.record.dots() {
                Ok(dots) if dots.is_empty() => {
                    self.state = State::Absent;
                    self.changed = true;
                }
                _ => self.replace(cell),
            }
        }
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
        if let State::Damaged(_) = &self.state {
            // Nobody can be handed it, and while it is there the epochs of its partition do not end.
            self.state = State::Absent;
            self.changed = true;
        }
        let State::Cell(cell) = &self.state else { return };
        let (Ok(held), Ok(theirs)) = (cell.record.decode(), delivered.record.decode()) else { return };
        let dots: SmallVec<[Dot; 4]> = theirs.versions().iter().map(|version| version.dot).collect();
        let sinces: SmallVec<[(Dot, Option<Epoch>); 4]> =
            cell.sinces.of(&held).map(|(version, since)| (version.dot, since)).collect();
        let left: Record = held.into_versions().filter(|version| !dots.contains(&version.dot)).collect();
        if left.is_empty() {
            self.state = State::Absent;
            self.changed = true;
            return;
        }
        let record = EncodedRecord::encode(&left, delivered.bucket, &delivered.key);
        let since = |version: &Version| sinces.iter().find(|(dot, _)| *dot == version.dot)?.1;
        let sinces = Sinces::new(&left, since);
        self.replace(Cell { own: cell.own, recovering: None, sinces, names: PastNames::default(), record });
    }

    fn replace(&mut self, cell: Cell) {
        let same = matches!(&self.state, State::Cell(before) if *before == cell);
        if !same {
            self.state = State::Cell(cell);
            self.changed = true;
        }
    }
}

/// The names that are in `theirs` and not in `ours`.
fn new_in(theirs: &Record, ours: &Record) -> SmallVec<[Dot; 4]> {
    let is_new = |version: &&Version| ours.versions().iter().all(|known| known.dot != version.dot);
    theirs.versions().iter().filter(is_new).map(|version| version.dot).collect()
}

/// How many of these versions are gone although nothing replaced them: a resolver let them go for a concurrent one.
fn gone_from(record: &Record, new: SmallVec<[Dot; 4]>) -> u64 {
    let is_there =
        |dot: Dot| record.versions().iter().any(|version| version.dot == dot || version.past.contains(dot));
    new.into_iter().filter(|dot| !is_there(*dot)).count() as u64
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
