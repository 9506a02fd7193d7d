use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, OpId, Token};
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
                let held = slots.next();
                let result = known(view, mint.bucket.id).and_then(|()| held?.mint(view, &mint, minter, now));
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
    for (storage_key, held) in slots.keys.iter().zip(&slots.held) {
        if let Some(held) = held {
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
                let held = slots.next();
                known(view, merge.bucket.id).map_err(|error| error.kind())?;
                held.map_err(|error| error.kind())?.merge(view, merge)
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
        let mut keys: Vec<(BucketId, Token, &Key, usize)> = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            match mutation {
                Mutation::Mint(mint) => keys.push((mint.bucket.id, mint.token, &mint.key, keys.len())),
                Mutation::Merge(group) => {
                    for merge in group.items.iter().flatten() {
                        keys.push((merge.bucket.id, merge.token, &merge.key, keys.len()));
                    }
                }
                Mutation::Meta { .. } | Mutation::Remove { .. } => {}
            }
        }
        // The order of storage keys.
        keys.sort_unstable();
        let mut places = vec![0; keys.len()];
        let mut names: Vec<(BucketId, Token, &Key)> = Vec::with_capacity(keys.len());
        for (bucket, token, key, index) in keys {
            if names.last() != Some(&(bucket, token, key)) {
                names.push((bucket, token, key));
            }
            if let Some(place) = places.get_mut(index) {
                *place = names.len() - 1;
            }
        }
        let keys: Vec<StorageKey> = names
            .iter()
            .map(|(bucket, token, key)| StorageKey::new(*bucket, *token, key.as_bytes()))
            .collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(StorageKey::as_bytes).collect();
        let mut held: Vec<Option<Held>> = keys.iter().map(|_| None).collect();
        store.get_many(&borrowed, &mut |index, bytes| {
            if let (Some(slot), Some(storage_key), Some((bucket, _, key))) =
                (held.get_mut(index), keys.get(index), names.get(index))
            {
                *slot = Some(Held::read(bytes, storage_key, *bucket, key));
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
