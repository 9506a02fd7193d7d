use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::BucketId;
use crate::ids::OpId;
use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::replica::held::Held;
use crate::replica::leftover::bucket_of;
use crate::replica::meta::Meta;
use crate::replica::{MergeGroup, Minted, Minter, Mutation};
use crate::storage::{Batch, CommitError, Durability, Storage};
use crate::time::Now;
use crate::view::View;
use crate::wire::WriteAnswer;

/// What a batch of mutations comes to: what to store, and what to say before and after it is stored.
#[derive(Debug)]
pub struct Applied<T> {
    /// What to store; empty if nothing changes.
    pub batch: Batch,
    /// How durably: the strictest that any bucket in the batch asks for.
    pub durability: Durability,
    /// What became of each mint: the machine sends the records to the other owners while the batch is committed.
    pub minted: Vec<Minted>,
    /// Versions that arrived and that a resolver let go for concurrent ones: writes lost to last write wins.
    pub discarded: u64,
    /// Operations whose local commit this batch is.
    ops: Vec<OpId>,
    /// Peers that wait, with their answers if the commit succeeds.
    replies: Vec<(T, Vec<WriteAnswer>)>,
    lease: Option<Stamp>,
}

/// What to say once a batch is committed or has failed.
#[derive(Debug)]
pub struct Finished<T> {
    /// The operations whose local commit it was.
    pub ops: Vec<OpId>,
    /// The answers to peers.
    pub replies: Vec<(T, Vec<WriteAnswer>)>,
}

impl<T> Applied<T> {
    /// What to say when the commit of the batch has ended with `result`.
    pub fn finish(self, result: &Result<(), CommitError>, minter: &mut Minter) -> Finished<T> {
        let mut replies = self.replies;
        match result {
            Ok(()) => {
                if let Some(lease) = self.lease {
                    minter.clock().lease_stored(lease);
                }
            }
            Err(_) if mutants::on(Mutant::FailedCommitCountsAsCommit) => minter.commit_failed(),
            Err(error) => {
                minter.commit_failed();
                let failed = match error {
                    CommitError::NotWritten(_) => WriteAnswer::Refused(ErrorKind::NotWritten),
                    CommitError::Unknown(_) => WriteAnswer::Unknown,
                };
                for answer in replies.iter_mut().flat_map(|(_, answers)| answers) {
                    if *answer == WriteAnswer::Committed {
                        *answer = failed;
                    }
                }
            }
        }
        Finished { ops: self.ops, replies }
    }
}

/// The keys that a list of mutations touches, each once, ascending: the order in which a B+tree is written fastest.
struct Slots {
    by_key: BTreeMap<SmallVec<[u8; 64]>, usize>,
    held: Vec<(StorageKey, Option<Held>)>,
}

/// Merges `mutations` in their order with what `store` holds. A later mutation of a key sees the earlier ones; nothing is
/// written: the caller commits [`Applied::batch`] and then calls [`Applied::finish`].
pub fn apply<T>(
    store: &dyn Storage,
    view: &View,
    minter: &mut Minter,
    now: Now,
    mutations: Vec<Mutation<T>>,
) -> Applied<T> {
    let mut applied = Applied {
        batch: Batch::new(),
        durability: Durability::Buffered,
        minted: Vec::new(),
        discarded: 0,
        ops: Vec::new(),
        replies: Vec::new(),
        lease: None,
    };
    let mut slots = match Slots::read(store, &mutations) {
        Ok(slots) => slots,
        Err(error) => return refuse(applied, mutations, &error),
    };
    let lease = minter.clock().lease_needed(now.wall_ms);
    for mutation in mutations {
        match mutation {
            Mutation::Mint(mint) => {
                applied.durability = applied.durability.max(mint.bucket.properties.durability);
                let result = known(view, mint.bucket.id)
                    .and_then(|()| slots.held(mint.bucket.id, &mint.key, mint.token))
                    .and_then(|held| held.mint(view, &mint, minter, now));
                if result.is_ok() {
                    applied.ops.push(mint.op);
                }
                applied.minted.push(Minted { op: mint.op, result });
            }
            Mutation::Merge(group) => applied.merge(view, &mut slots, group),
            Mutation::Meta { name, value, reply } => {
                applied.durability = Durability::Synced;
                applied.batch.put(StorageKey::meta(name).as_bytes(), &[&value]);
                applied.replies.push((reply, vec![WriteAnswer::Committed]));
            }
            Mutation::Remove { range, reply } => {
                // A bucket that has come back meanwhile, because it was deleted and changed at the same time, keeps what it has.
                let is_live = bucket_of(&range.start).is_some_and(|bucket| view.table().has(bucket));
                if !range.is_empty() && !is_live {
                    applied.batch.delete_range(&range.start, &range.end);
                }
                applied.replies.push((reply, vec![WriteAnswer::Committed]));
            }
        }
    }
    let mut scratch = Vec::new();
    for place in slots.by_key.values() {
        if let Some((storage_key, Some(held))) = slots.held.get(*place) {
            held.store(storage_key, &mut applied.batch, &mut scratch);
            applied.discarded += held.discarded;
        }
    }
    if let Some(ceiling) = lease.filter(|_| !applied.minted.is_empty()) {
        Meta::put_ceiling(&mut applied.batch, ceiling);
        applied.lease = Some(ceiling);
    }
    applied
}

impl<T> Applied<T> {
    fn merge(&mut self, view: &View, slots: &mut Slots, group: MergeGroup<T>) {
        let mut answers = Vec::with_capacity(group.items.len());
        for item in &group.items {
            let merged = item.as_ref().map_err(|kind| *kind).and_then(|merge| {
                self.durability = self.durability.max(merge.bucket.properties.durability);
                known(view, merge.bucket.id).map_err(|error| error.kind())?;
                let held =
                    slots.held(merge.bucket.id, &merge.key, merge.token).map_err(|error| error.kind())?;
                held.merge(view, merge)
            });
            answers.push(match merged {
                Ok(()) => WriteAnswer::Committed,
                Err(kind) => WriteAnswer::Refused(kind),
            });
        }
        if let Some(reply) = group.reply {
            self.replies.push((reply, answers));
        }
    }
}

impl Slots {
    fn read<T>(store: &dyn Storage, mutations: &[Mutation<T>]) -> Result<Self, Error> {
        let mut slots = Slots { by_key: BTreeMap::new(), held: Vec::with_capacity(mutations.len()) };
        let mut names: Vec<(BucketId, &Key)> = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            match mutation {
                Mutation::Mint(mint) => slots.add(mint.bucket.id, mint.token, &mint.key, &mut names),
                Mutation::Merge(group) => {
                    for merge in group.items.iter().flatten() {
                        slots.add(merge.bucket.id, merge.token, &merge.key, &mut names);
                    }
                }
                Mutation::Meta { .. } | Mutation::Remove { .. } => {}
            }
        }
        let places: Vec<usize> = slots.by_key.values().copied().collect();
        let keys: Vec<StorageKey> = places
            .iter()
            .filter_map(|place| slots.held.get(*place).map(|(storage_key, _)| storage_key.clone()))
            .collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(StorageKey::as_bytes).collect();
        let held = &mut slots.held;
        store.get_many(&borrowed, &mut |index, bytes| {
            let place = places.get(index).copied().unwrap_or(usize::MAX);
            if let (Some((storage_key, slot)), Some((bucket, key))) = (held.get_mut(place), names.get(place))
            {
                *slot = Some(Held::read(bytes, storage_key, *bucket, key));
            }
        })?;
        Ok(slots)
    }

    fn add<'a>(
        &mut self,
        bucket: BucketId,
        token: crate::ids::Token,
        key: &'a Key,
        names: &mut Vec<(BucketId, &'a Key)>,
    ) {
        let storage_key = StorageKey::new(bucket, token, key.as_bytes());
        let next = self.held.len();
        let place = *self.by_key.entry(SmallVec::from_slice(storage_key.as_bytes())).or_insert(next);
        if place == next {
            self.held.push((storage_key, None));
            names.push((bucket, key));
        }
    }

    fn held(&mut self, bucket: BucketId, key: &Key, token: crate::ids::Token) -> Result<&mut Held, Error> {
        let storage_key = StorageKey::new(bucket, token, key.as_bytes());
        let place = self.by_key.get(storage_key.as_bytes()).copied();
        place
            .and_then(|place| self.held.get_mut(place))
            .and_then(|(_, held)| held.as_mut())
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the storage skipped a key of a get_many"))
    }
}

/// Refuses what was queued for a bucket that was deleted meanwhile.
fn known(view: &View, bucket: BucketId) -> Result<(), Error> {
    match view.bucket_by_id(bucket) {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::UnknownBucket, "the bucket was deleted meanwhile")),
    }
}

fn refuse<T>(mut applied: Applied<T>, mutations: Vec<Mutation<T>>, error: &Error) -> Applied<T> {
    for mutation in mutations {
        match mutation {
            Mutation::Mint(mint) => {
                applied.minted.push(Minted { op: mint.op, result: Err(error.clone()) });
            }
            Mutation::Merge(MergeGroup { reply: Some(reply), items }) => {
                applied.replies.push((reply, vec![WriteAnswer::Refused(error.kind()); items.len()]));
            }
            Mutation::Meta { reply, .. } | Mutation::Remove { reply, .. } => {
                applied.replies.push((reply, vec![WriteAnswer::Refused(error.kind())]));
            }
            Mutation::Merge(_) => {}
        }
    }
    applied
}
