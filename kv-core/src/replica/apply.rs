use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Epoch, NodeId, OpId, Token};
use crate::key::{Key, StandInName, StorageKey};
use crate::mutants::{self, Mutant};
use crate::replica::copies::has_older;
use crate::replica::epochs::EpochChanges;
use crate::replica::held::Held;
use crate::replica::leftover::bucket_of;
use crate::replica::meta::Meta;
use crate::replica::place::Place;
use crate::replica::space::Room;
use crate::replica::sweep::{Swept, sweep};
use crate::replica::trees::{TreeChanges, count};
use crate::replica::{Ledger, MergeGroup, Minted, Mutation};
use crate::storage::{Batch, CommitError, Durability, Storage};
use crate::time::Now;
use crate::tree::{LeafCount, LeafId, TreeId};
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
    /// Operations whose own merge was refused, and why.
    refused: Vec<(OpId, ErrorKind)>,
    /// Peers that wait, with their answers if the commit succeeds.
    replies: Vec<(T, Vec<WriteAnswer>)>,
    lease: Option<Stamp>,
    /// For every copy for an absent owner that changes: the owner, the bytes before, the bytes after.
    copies_changed: Vec<(NodeId, u64, u64)>,
    /// What becomes of the trees.
    trees: TreeChanges,
    /// What becomes of the epochs.
    epochs: EpochChanges,
    /// Leaves that were looked through for what is due, and whether something is left that will be.
    swept: Vec<(LeafId, bool, Option<Vec<u8>>)>,
    /// Whether epochs were looked after, and this replica lacks something.
    recovers: bool,
    /// Who is told whether older copies are kept.
    promises: Vec<(T, Vec<bool>)>,
    /// Who is told of leaves that were counted.
    counts: Vec<(T, Vec<LeafCount>)>,
}

/// What to say once a batch is committed or has failed.
#[derive(Debug)]
pub struct Finished<T> {
    /// The operations whose local commit it was.
    pub ops: Vec<OpId>,
    /// Operations that wait for a merge that was refused.
    pub refused: Vec<(OpId, ErrorKind)>,
    /// The answers to peers.
    pub replies: Vec<(T, Vec<WriteAnswer>)>,
    /// What leaves were counted to, for those that wanted to know.
    pub counts: Vec<(T, Vec<LeafCount>)>,
    /// Whether there are no older copies of partitions, for those that asked.
    pub promises: Vec<(T, Vec<bool>)>,
    /// Whether epochs gave the writer something to do that is not done yet: [`Mutation::Turn`] goes on with it.
    pub has_work: bool,
    /// Whether epochs were looked after, and this replica lacks something that only exchanges bring back.
    pub recovers: bool,
}

impl<T> Applied<T> {
    /// What to say when the commit of the batch has ended with `result`.
    pub fn finish(mut self, result: &Result<(), CommitError>, ledger: &mut Ledger) -> Finished<T> {
        let mut replies = std::mem::take(&mut self.replies);
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
                ledger.partitions.trees.commit(self.trees);
                ledger.partitions.epochs.commit(self.epochs);
                for (leaf, is_left, after) in self.swept {
                    ledger.partitions.epochs.swept(leaf, is_left, after);
                }
                if let Some(lease) = self.lease {
                    minter.clock().lease_stored(lease);
                }
            }
            Err(_) if mutants::on(Mutant::FailedCommitCountsAsCommit) => minter.commit_failed(),
            Err(error) => {
                minter.commit_failed();
                ledger.partitions.epochs.not_written(self.epochs);
                // What was promised is kept although it is not stored; nobody is told that it is.
                self.promises.iter_mut().for_each(|(_, clear)| clear.clear());
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
        let has_work = ledger.partitions.epochs.has_work();
        Finished {
            ops: self.ops,
            refused: self.refused,
            replies,
            counts: self.counts,
            promises: self.promises,
            has_work,
            recovers: self.recovers,
        }
    }
}

/// A key, in the order of storage keys: the owner for which it is kept, if it is a copy; bucket, token, the epoch of a copy, and key.
type Name<'a> = (Option<NodeId>, BucketId, Token, Epoch, &'a Key);

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
        refused: Vec::new(),
        replies: Vec::new(),
        lease: None,
        copies_changed: Vec::new(),
        trees: TreeChanges::default(),
        epochs: EpochChanges::default(),
        swept: Vec::new(),
        recovers: false,
        promises: Vec::new(),
        counts: Vec::new(),
    };
    let room = Room::of(ledger, &view.limits);
    let minter = &mut ledger.minter;
    let epochs = &ledger.partitions.epochs;
    let place = Place { view, epochs, now };
    for mutation in &mutations {
        if let Mutation::Promise { items, .. } = mutation {
            // Before anything that is older can be taken.
            items.iter().for_each(|item| epochs.promise(item.tree, item.epoch));
        }
    }
    let swept = match mutations.iter().any(|mutation| matches!(mutation, Mutation::Turn)) {
        true => sweep(view, store, epochs),
        false => Vec::new(),
    };
    let mut slots = match Slots::read(&place, store, &mutations, &swept) {
        Ok(slots) => slots,
        Err(error) => return refuse(applied, mutations, &error),
    };
    let lease = minter.clock().lease_needed(now.wall_ms);
    let (mut checkpoint_trees, mut turns) = (0, false);
    for mutation in mutations {
        match mutation {
            Mutation::Mint(mint) => {
                applied.durability = applied.durability.max(mint.bucket.properties.durability);
                let held = slots.next();
                let result = known(view, mint.bucket.id)
                    .and_then(|()| room.take(mint.stand_in_for).map_err(|kind| room.error(kind)))
                    .and_then(|()| place.age_of_mint(&mint))
                    .and_then(|age| held?.mint(view, &mint, minter, age));
                if result.is_ok() {
                    applied.ops.push(mint.op);
                }
                applied.minted.push(Minted { op: mint.op, result });
            }
            Mutation::Merge(group) => applied.merge(&place, room, &mut slots, group),
            Mutation::Release(copies) => {
                for copy in copies {
                    if let Ok(held) = slots.next() {
                        held.release(&copy);
                    }
                }
            }
            Mutation::Count { leaves, reply } => {
                let counts = leaves.into_iter().filter_map(|leaf| {
                    let expected = ledger.partitions.trees.tree(leaf.tree).sum(leaf.leaf);
                    Some(LeafCount { expected, ..count(view, store, leaf).ok()? })
                });
                let counts: Vec<LeafCount> = counts.collect();
                applied.trees.counted.extend_from_slice(&counts);
                applied.counts.extend(reply.map(|reply| (reply, counts)));
            }
            Mutation::Promise { items, reply } => {
                let stand_ins = &ledger.stand_ins;
                let is_clear = |item: &crate::wire::ClearItem| {
                    has_older(view, store, stand_ins, (item.tree, item.epoch)).is_ok_and(|older| !older)
                };
                applied.promises.push((reply, items.iter().map(is_clear).collect()));
            }
            Mutation::Turn => turns = true,
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
                        ledger.partitions.trees.forget(bucket, &mut applied.trees);
                        epochs.forget(bucket, &mut applied.epochs, &mut applied.batch);
                    }
                }
                applied.replies.push((reply, vec![WriteAnswer::Committed(Durability::Synced)]));
            }
        }
    }
    for Swept { leaf, keys, is_left, after } in &swept {
        let mut is_left = *is_left;
        for (_, key) in keys {
            let age = place.age(leaf.tree);
            if let Ok(held) = slots.next() {
                is_left |= held.reap(age, (leaf.tree.bucket, key));
            }
        }
        applied.swept.push((*leaf, is_left, after.clone()));
    }
    let mut scratch = Vec::new();
    for (storage_key, held) in slots.keys.iter().zip(&mut slots.held) {
        if let Some(held) = held {
            if held.is_recovering()
                && let Some((bucket, token, _)) = StorageKey::parse(storage_key.as_bytes())
                && epochs.lacks_more(place.tree(bucket, token))
            {
                held.forget_mark();
            }
            let written = held.store(storage_key, &mut applied.batch, &mut scratch);
            applied.discarded += held.discarded;
            let change = held.leaf_change(view, storage_key);
            if let Some(change) = change.filter(|_| held.ages) {
                epochs.age(change.leaf);
            }
            applied.trees.changes.extend(change);
            if let (Some((before, after)), Some(StandInName { owner, .. })) =
                (written, StorageKey::parse_stand_in(storage_key.as_bytes()))
            {
                applied.copies_changed.push((owner, before, after));
            }
        }
    }
    if turns {
        applied.recovers = epochs.may_any_recover() && epochs.figures(view).recovering > 0;
        begin_anew(&place, &mut applied);
        epochs.turn(view, &mut applied.epochs, &mut applied.batch);
    }
    epochs.store(&mut applied.epochs, &mut applied.batch);
    if store.capabilities().durable {
        applied.achieved = applied.durability;
        ledger.partitions.trees.mark(&mut applied.trees, &mut applied.batch);
        let is_live = |bucket| view.table().has(bucket);
        let what = (checkpoint_trees, &mut applied.trees);
        ledger.partitions.trees.checkpoint(store, is_live, what, &mut applied.batch);
    }
    if let Some(ceiling) = lease.filter(|_| !applied.minted.is_empty()) {
        Meta::put_ceiling(&mut applied.batch, ceiling);
        applied.lease = Some(ceiling);
    }
    applied
}

/// Empties the partitions in which this replica is too far behind the others.
fn begin_anew<T>(place: &Place<'_>, applied: &mut Applied<T>) {
    let partitioning = place.view.layout.partitioning();
    let touched = |tree: TreeId| applied.trees.changes.iter().any(|change| change.leaf.tree == tree);
    // What the batch itself writes to waits for the next.
    let behind: Vec<_> = place.epochs.behind().into_iter().filter(|(tree, _)| !touched(*tree)).collect();
    for (tree, _) in &behind {
        if mutants::on(Mutant::FarBehindMerges) {
            continue;
        }
        let first = partitioning.first_token(tree.partition);
        let (_, last) = LeafId { tree: *tree, leaf: crate::tree::LEAVES as u8 - 1 }.tokens(partitioning);
        let start = StorageKey::new(tree.bucket, first, b"");
        applied.batch.delete_range(start.as_bytes(), &StorageKey::end_of(tree.bucket, last));
        applied.trees.emptied.push(*tree);
    }
    place.epochs.begin_anew(behind, &mut applied.epochs, &mut applied.batch);
}

impl<T> Applied<T> {
    fn merge(&mut self, place: &Place<'_>, room: Room, slots: &mut Slots, group: MergeGroup<T>) {
        let mut answers = Vec::with_capacity(group.items.len());
        for item in &group.items {
            let merged = item.as_ref().map_err(|kind| *kind).and_then(|merge| {
                self.durability = self.durability.max(merge.bucket.properties.durability);
                let held = slots.next();
                known(place.view, merge.bucket.id).map_err(|error| error.kind())?;
                room.take(merge.stand_in_for)?;
                let age = place.check_epoch(merge)?;
                held.map_err(|error| error.kind())?.merge(place.view, merge, age)
            });
            answers.push(match merged {
                // How durably is known when the whole batch is.
                Ok(()) => WriteAnswer::Committed(Durability::Buffered),
                Err(kind) => WriteAnswer::Refused(kind),
            });
        }
        let refused = answers.iter().find_map(|answer| match answer {
            WriteAnswer::Refused(kind) => Some(*kind),
            _ => None,
        });
        match (group.op, refused) {
            (Some(op), Some(kind)) => self.refused.push((op, kind)),
            (op, _) => self.ops.extend(op),
        }
        if let Some(reply) = group.reply {
            self.replies.push((reply, answers));
        }
    }
}

impl Slots {
    fn read<T>(
        place: &Place<'_>,
        store: &dyn Storage,
        mutations: &[Mutation<T>],
        swept: &[Swept],
    ) -> Result<Self, Error> {
        let mut keys: Vec<(Name<'_>, usize)> = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            match mutation {
                Mutation::Mint(mint) => {
                    let epoch = mint.stand_in_for.and_then(|_| place.age_of_mint(mint).ok());
                    let epoch = epoch.map_or(Epoch::NONE, |age| age.epoch);
                    let name = (mint.stand_in_for, mint.bucket.id, mint.token, epoch, &mint.key);
                    keys.push((name, keys.len()));
                }
                Mutation::Merge(group) => {
                    for merge in group.items.iter().flatten() {
                        let epoch = merge.stand_in_for.map_or(Epoch::NONE, |_| merge.read.epoch);
                        let name = (merge.stand_in_for, merge.bucket.id, merge.token, epoch, &merge.key);
                        keys.push((name, keys.len()));
                    }
                }
                Mutation::Release(copies) => {
                    for copy in copies {
                        let at = (copy.token, copy.read.epoch);
                        keys.push(((Some(copy.owner), copy.bucket, at.0, at.1, &copy.key), keys.len()));
                    }
                }
                Mutation::Count { .. }
                | Mutation::Promise { .. }
                | Mutation::Turn
                | Mutation::Checkpoint { .. }
                | Mutation::Meta { .. }
                | Mutation::Remove { .. } => {}
            }
        }
        for Swept { leaf, keys: due, .. } in swept {
            for (token, key) in due {
                keys.push(((None, leaf.tree.bucket, *token, Epoch::NONE, key), keys.len()));
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
            .map(|(owner, bucket, token, epoch, key)| match owner {
                None => StorageKey::new(*bucket, *token, key.as_bytes()),
                Some(owner) => StorageKey::stand_in(*owner, *bucket, *token, *epoch, key.as_bytes()),
            })
            .collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(StorageKey::as_bytes).collect();
        let mut held: Vec<Option<Held>> = keys.iter().map(|_| None).collect();
        store.get_many(&borrowed, &mut |index, bytes| {
            if let (Some(slot), Some(storage_key), Some((_, bucket, _, _, key))) =
                (held.get_mut(index), keys.get(index), names.get(index))
            {
                *slot = Some(Held::read(place.view, bytes, storage_key, (*bucket, key)));
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
            Mutation::Promise { reply, .. } => applied.promises.push((reply, Vec::new())),
            Mutation::Count { reply: Some(reply), .. } => applied.counts.push((reply, Vec::new())),
            Mutation::Merge(_)
            | Mutation::Release(_)
            | Mutation::Count { .. }
            | Mutation::Turn
            | Mutation::Checkpoint { .. } => {}
        }
    }
    applied
}
