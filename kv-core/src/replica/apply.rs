use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, NodeId, OpId, Token};
use crate::key::{Key, StorageKey};
use crate::mutants::{self, Mutant};
use crate::replica::held::Held;
use crate::replica::leftover::bucket_of;
use crate::replica::meta::Meta;
use crate::replica::trees::{TreeChanges, count};
use crate::replica::{Ledger, MergeGroup, Minted, Mutation};
use crate::storage::{Batch, CommitError, Durability, Storage};
use crate::time::Now;
use crate::tree::LeafCount;
use crate::view::View;
use crate::wire::WriteAnswer;

/// What a batch of mutations comes to: what to store, and what to say before and after it is stored.
#[derive(Debug)]
pub struct Applied<T> {
    /// What to store; empty if nothing changes.
    pub batch: Batch,
    /// How durably: the strictest that any bucket in the batch asks for.
    pub durability: Durability,
    /// How durably it is stored once it is: a store that cannot do better says so.
    pub achieved: Durability,
    /// What became of each mint: the machine sends the records to the other owners while the batch is committed.
    pub minted: Vec<Minted>,
    /// Versions that arrived and that a resolver let go for concurrent ones: writes lost to last write wins.
    pub discarded: u64,
    /// Operations whose local commit this batch is.
    ops: Vec<OpId>,
    /// Peers that wait, with their answers if the commit succeeds.
    replies: Vec<(T, Vec<WriteAnswer>)>,
    lease: Option<Stamp>,
    /// For every copy for an absent owner that changes: the owner, the bytes before, the bytes after.
    copies_changed: Vec<(NodeId, u64, u64)>,
    /// What becomes of the trees.
    trees: TreeChanges,
    /// Who is told of leaves that were counted.
    counts: Vec<(T, Vec<LeafCount>)>,
}

/// What to say once a batch is committed or has failed.
#[derive(Debug)]
pub struct Finished<T> {
    /// The operations whose local commit it was.
    pub ops: Vec<OpId>,
    /// The answers to peers.
    pub replies: Vec<(T, Vec<WriteAnswer>)>,
    /// What leaves were counted to, for those that wanted to know.
    pub counts: Vec<(T, Vec<LeafCount>)>,
}

impl<T> Applied<T> {
    /// What to say when the commit of the batch has ended with `result`.
    pub fn finish(self, result: &Result<(), CommitError>, ledger: &mut Ledger) -> Finished<T> {
        let mut replies = self.replies;
        let minter = &mut ledger.minter;
        match result {
            Ok(()) => {
                for answer in replies.iter_mut().flat_map(|(_, answers)| answers) {
                    if let WriteAnswer::Committed(durability) = answer {
                        *durability = self.achieved;
                    }
                }
                for (owner, before, after) in self.copies_changed {
                    ledger.stand_ins.changed(owner, before, after);
                }
                ledger.trees.commit(self.trees);
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
                    if matches!(answer, WriteAnswer::Committed(_)) {
                        *answer = failed;
                    }
                }
            }
        }
        Finished { ops: self.ops, replies, counts: self.counts }
    }
}

/// A key, in the order of storage keys: the owner for which it is kept, if it is a copy; bucket, token and key.
type Name<'a> = (Option<NodeId>, BucketId, Token, &'a Key);

/// What the batch in the making holds under the keys that a list of mutations touches.
struct Slots {
    /// Each key once, ascending: the order in which a B+tree is written fastest.
    keys: Vec<StorageKey>,
    held: Vec<Option<Held>>,
    /// Where the keys of the mutations are in `keys`, in the order of the mutations.
    places: std::vec::IntoIter<usize>,
}

/// Merges `mutations` in their order with what `store` holds. A later mutation of a key sees the earlier ones; nothing is
/// written: the caller commits [`Applied::batch`] and then calls [`Applied::finish`].
pub fn apply<T>(
    store: &dyn Storage,
    view: &View,
    ledger: &mut Ledger,
    now: Now,
    mutations: Vec<Mutation<T>>,
) -> Applied<T> {
    let mut applied = Applied {
        batch: Batch::new(),
        durability: Durability::Buffered,
        achieved: Durability::Buffered,
        minted: Vec::new(),
        discarded: 0,
        ops: Vec::new(),
        replies: Vec::new(),
        lease: None,
        copies_changed: Vec::new(),
        trees: TreeChanges::default(),
        counts: Vec::new(),
    };
    let is_full = ledger.stand_ins.bytes() >= view.limits.stand_in_bytes_max;
    let minter = &mut ledger.minter;
    let mut slots = match Slots::read(view, store, &mutations) {
        Ok(slots) => slots,
        Err(error) => return refuse(applied, mutations, &error),
    };
    let lease = minter.clock().lease_needed(now.wall_ms);
    let mut checkpoint_trees = 0;
    for mutation in mutations {
        match mutation {
            Mutation::Mint(mint) => {
                applied.durability = applied.durability.max(mint.bucket.properties.durability);
                let held = slots.next();
                let result = known(view, mint.bucket.id)
                    .and_then(|()| has_room(is_full, mint.stand_in_for).map_err(full))
                    .and_then(|()| held?.mint(view, &mint, minter, now));
                if result.is_ok() {
                    applied.ops.push(mint.op);
                }
                applied.minted.push(Minted { op: mint.op, result });
            }
            Mutation::Merge(group) => applied.merge(view, is_full, &mut slots, group),
            Mutation::Release(copies) => {
                for copy in copies {
                    if let Ok(held) = slots.next() {
                        held.release(&copy);
                    }
                }
            }
            Mutation::Count { leaves, reply } => {
                let counts = leaves.into_iter().filter_map(|leaf| {
                    let expected = ledger.trees.tree(leaf.tree).sum(leaf.leaf);
                    Some(LeafCount { expected, ..count(view, store, leaf).ok()? })
                });
                let counts: Vec<LeafCount> = counts.collect();
                applied.trees.counted.extend_from_slice(&counts);
                applied.counts.extend(reply.map(|reply| (reply, counts)));
            }
            Mutation::Checkpoint { trees_max } => checkpoint_trees = trees_max.max(checkpoint_trees),
            Mutation::Meta { name, value, reply } => {
                applied.durability = Durability::Synced;
                applied.batch.put(StorageKey::meta(name).as_bytes(), &[&value]);
                applied.replies.push((reply, vec![WriteAnswer::Committed(Durability::Synced)]));
            }
            Mutation::Remove { range, reply } => {
                // A bucket that has come back meanwhile, because it was deleted and changed at the same time, keeps what it has.
                let is_live = bucket_of(&range.start).is_some_and(|bucket| view.table().has(bucket));
                if !range.is_empty() && !is_live {
                    applied.batch.delete_range(&range.start, &range.end);
                    if let Some(bucket) = bucket_of(&range.start) {
                        ledger.trees.forget(bucket, &mut applied.trees);
                    }
                }
                applied.replies.push((reply, vec![WriteAnswer::Committed(Durability::Synced)]));
            }
        }
    }
    let mut scratch = Vec::new();
    for (storage_key, held) in slots.keys.iter().zip(&slots.held) {
        if let Some(held) = held {
            let written = held.store(storage_key, &mut applied.batch, &mut scratch);
            applied.discarded += held.discarded;
            applied.trees.changes.extend(held.leaf_change(view, storage_key));
            if let (Some((before, after)), Some((owner, ..))) =
                (written, StorageKey::parse_stand_in(storage_key.as_bytes()))
            {
                applied.copies_changed.push((owner, before, after));
            }
        }
    }
    if store.capabilities().durable {
        applied.achieved = applied.durability;
        ledger.trees.mark(&mut applied.trees, &mut applied.batch);
        let is_live = |bucket| view.table().has(bucket);
        let what = (checkpoint_trees, &mut applied.trees);
        ledger.trees.checkpoint(store, is_live, what, &mut applied.batch);
    }
    if let Some(ceiling) = lease.filter(|_| !applied.minted.is_empty()) {
        Meta::put_ceiling(&mut applied.batch, ceiling);
        applied.lease = Some(ceiling);
    }
    applied
}

impl<T> Applied<T> {
    fn merge(&mut self, view: &View, is_full: bool, slots: &mut Slots, group: MergeGroup<T>) {
        let mut answers = Vec::with_capacity(group.items.len());
        for item in &group.items {
            let merged = item.as_ref().map_err(|kind| *kind).and_then(|merge| {
                self.durability = self.durability.max(merge.bucket.properties.durability);
                let held = slots.next();
                known(view, merge.bucket.id).map_err(|error| error.kind())?;
                has_room(is_full, merge.stand_in_for)?;
                held.map_err(|error| error.kind())?.merge(view, merge)
            });
            answers.push(match merged {
                // How durably is known when the whole batch is.
                Ok(()) => WriteAnswer::Committed(Durability::Buffered),
                Err(kind) => WriteAnswer::Refused(kind),
            });
        }
        if !answers.iter().any(|answer| matches!(answer, WriteAnswer::Refused(_))) {
            self.ops.extend(group.op);
        }
        if let Some(reply) = group.reply {
            self.replies.push((reply, answers));
        }
    }
}

impl Slots {
    fn read<T>(view: &View, store: &dyn Storage, mutations: &[Mutation<T>]) -> Result<Self, Error> {
        let mut keys: Vec<(Name<'_>, usize)> = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            match mutation {
                Mutation::Mint(mint) => {
                    let name = (mint.stand_in_for, mint.bucket.id, mint.token, &mint.key);
                    keys.push((name, keys.len()));
                }
                Mutation::Merge(group) => {
                    for merge in group.items.iter().flatten() {
                        let name = (merge.stand_in_for, merge.bucket.id, merge.token, &merge.key);
                        keys.push((name, keys.len()));
                    }
                }
                Mutation::Release(copies) => {
                    for copy in copies {
                        keys.push(((Some(copy.owner), copy.bucket, copy.token, &copy.key), keys.len()));
                    }
                }
                Mutation::Count { .. }
                | Mutation::Checkpoint { .. }
                | Mutation::Meta { .. }
                | Mutation::Remove { .. } => {}
            }
        }
        // The order of storage keys.
        keys.sort_unstable();
        let mut places = vec![0; keys.len()];
        let mut names: Vec<Name<'_>> = Vec::with_capacity(keys.len());
        for (name, index) in keys {
            if names.last() != Some(&name) {
                names.push(name);
            }
            if let Some(place) = places.get_mut(index) {
                *place = names.len() - 1;
            }
        }
        let keys: Vec<StorageKey> = names
            .iter()
            .map(|(owner, bucket, token, key)| match owner {
                None => StorageKey::new(*bucket, *token, key.as_bytes()),
                Some(owner) => StorageKey::stand_in(*owner, *bucket, *token, key.as_bytes()),
            })
            .collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(StorageKey::as_bytes).collect();
        let mut held: Vec<Option<Held>> = keys.iter().map(|_| None).collect();
        store.get_many(&borrowed, &mut |index, bytes| {
            if let (Some(slot), Some(storage_key), Some((_, bucket, _, key))) =
                (held.get_mut(index), keys.get(index), names.get(index))
            {
                *slot = Some(Held::read(view, bytes, storage_key, (*bucket, key)));
            }
        })?;
        Ok(Slots { keys, held, places: places.into_iter() })
    }

    /// What is held under the next key of the mutations.
    fn next(&mut self) -> Result<&mut Held, Error> {
        let slot = self.places.next().and_then(|place| self.held.get_mut(place));
        slot.and_then(Option::as_mut)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the storage skipped a key of a get_many"))
    }
}

/// Refuses a copy for an absent owner where there is no room for more of them.
fn has_room(is_full: bool, stand_in_for: Option<NodeId>) -> Result<(), ErrorKind> {
    if is_full && stand_in_for.is_some() { Err(ErrorKind::Overloaded) } else { Ok(()) }
}

fn full(kind: ErrorKind) -> Error {
    Error::new(kind, "this node keeps as many copies for absent owners as it may (stand_in_bytes_max)")
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
            Mutation::Merge(MergeGroup { reply: Some(reply), items, .. }) => {
                applied.replies.push((reply, vec![WriteAnswer::Refused(error.kind()); items.len()]));
            }
            Mutation::Meta { reply, .. } | Mutation::Remove { reply, .. } => {
                applied.replies.push((reply, vec![WriteAnswer::Refused(error.kind())]));
            }
            Mutation::Count { reply: Some(reply), .. } => applied.counts.push((reply, Vec::new())),
            Mutation::Merge(_)
            | Mutation::Release(_)
            | Mutation::Count { .. }
            | Mutation::Checkpoint { .. } => {}
        }
    }
    applied
}
