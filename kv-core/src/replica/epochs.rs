mod figures;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{BucketId, Epoch, NodeId};
use crate::mutants::{self, Mutant};
use crate::record::RecoveringMark;
use crate::replica::epochs::stored::{FIRST_STORE, REPLACED_STORE, put, remove};
use crate::storage::Batch;
use crate::tree::{LEAVES, LeafId, TreeId};
use crate::view::View;
use crate::wire::{ClearItem, Standing};

pub(super) use stored::{load, put_replacement};

/// Most partitions that go to their next epoch, or are emptied, in one batch.
const TURNS_MAX: usize = 256;

/// The epochs of the partitions of one store, and what has to happen before they end (`docs/epochs.md`).
#[derive(Debug)]
pub struct Epochs(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    states: BTreeMap<TreeId, State>,
    /// The buckets that there were when the store took another's place: all of their partitions lack what that had.
    replaced: BTreeSet<BucketId>,
    /// The partitions that are too far behind.
    behind: BTreeSet<TreeId>,
    /// The partitions of which something has yet to be stored.
    changed: BTreeSet<TreeId>,
    /// The partitions that have to be looked through.
    sweeps: BTreeMap<TreeId, Sweep>,
}

/// What is stored of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    epoch: Epoch,
    /// The latest epoch for which somebody asked this node whether it keeps older copies; none for a store that took another's place and was not asked
    /// yet. Copies that were read before it are refused from then on.
    asked: Epoch,
    /// The latest epoch before which no member keeps copies, as far as this node was told.
    cleared: Epoch,
    /// Set while this replica lacks what it once had: with whom it has exchanged since.
    recovering: Option<RecoveringMark>,
    /// The leaves in which something is held that goes some time, a bit each.
    ages: u64,
}

#[derive(Debug, Clone)]
struct State {
    stored: Stored,
    /// In which epoch each other owner was at the last exchange with it.
    seen: BTreeMap<NodeId, Epoch>,
    /// Those with whom it has exchanged in the present epoch, who were in it or beyond and knew that no older copies were kept.
    met: BTreeSet<NodeId>,
    /// Whether some owner wants the epoch to end.
    wanted: bool,
    /// The epoch of others, if this replica is too far behind them.
    behind: Option<Epoch>,
    /// How often it has begun anew since the store was opened, because it was emptied or something more was found to be missing.
    anew: u32,
}

#[derive(Debug, Clone, Default)]
struct Sweep {
    /// How far the first of them was looked through.
    after: Option<Vec<u8>>,
    /// The leaves that are left, a bit each.
    left: u64,
    /// Those in which something was found that will go some time.
    found: u64,
}

/// How an exchange with another owner ended, as far as epochs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// The partition.
    pub tree: TreeId,
    /// The other owner.
    pub peer: NodeId,
    /// How this replica stood when it was begun.
    pub begun: Begun,
    /// What the other was when it answered.
    pub theirs: Standing,
}

/// How a replica stands when it begins an exchange. What is exchanged counts for nothing if it begins anew meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// What others may know of it.
    pub standing: Standing,
    /// How often it has begun anew since the store was opened.
    pub anew: u32,
}

/// What a batch does to epochs, once it is committed.
#[derive(Debug, Default)]
pub(super) struct EpochChanges {
    turned: Vec<TreeId>,
    anew: Vec<(TreeId, Epoch)>,
    stored: Vec<TreeId>,
    forgotten: Vec<BucketId>,
}

impl Default for Epochs {
    /// Those of a store that begins with its cluster.
    fn default() -> Self {
        Epochs::new(BTreeMap::new(), BTreeSet::new())
    }
}

impl Epochs {
    fn new(states: BTreeMap<TreeId, Stored>, replaced: BTreeSet<BucketId>) -> Self {
        let (behind, changed, sweeps) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let states = states.into_iter().map(|(tree, stored)| (tree, State::new(stored))).collect();
        Epochs(Mutex::new(Inner { states, replaced, behind, changed, sweeps }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch of a partition.
    pub fn epoch(&self, tree: TreeId) -> Epoch {
        let inner = self.lock();
        inner.stored(tree).epoch
    }

    /// Whether this replica lacks something of a partition, or will, since it is too far behind, and so does not vote there.
    pub fn is_recovering(&self, tree: TreeId) -> bool {
        let inner = self.lock();
        let lacks = inner.stored(tree).recovering.is_some() || inner.behind.contains(&tree);
        lacks && !mutants::on(Mutant::RecoveringPartitionVotes)
    }

    /// Whether this replica is too far behind in a partition, which is emptied before anything else is stored in it.
    pub(super) fn is_behind(&self, tree: TreeId) -> bool {
        self.lock().behind.contains(&tree)
    }

    /// Whether this replica may lack something of any partition.
    pub fn may_any_recover(&self) -> bool {
        let inner = self.lock();
        !inner.replaced.is_empty()
            || !inner.behind.is_empty()
            || inner.states.values().any(|state| state.stored.recovering.is_some())
    }

    /// The epoch before which copies are refused; none if it is not known.
    pub(super) fn asked(&self, tree: TreeId) -> Option<Epoch> {
        let inner = self.lock();
        Some(inner.stored(tree).asked).filter(|asked| *asked != Epoch::NONE)
    }

    /// What others may know of a partition.
    pub fn standing(&self, tree: TreeId) -> Standing {
        let inner = self.lock();
        let stored = inner.stored(tree);
        let state = inner.states.get(&tree);
        Standing {
            epoch: stored.epoch,
            is_complete: stored.recovering.is_none(),
            cleared: stored.cleared,
            is_wanted: stored.ages != 0 || state.is_some_and(|state| state.wanted),
        }
    }

    /// How this replica of a partition stands, to begin an exchange with.
    pub fn begun(&self, tree: TreeId) -> Begun {
        let standing = self.standing(tree);
        let inner = self.lock();
        Begun { standing, anew: inner.states.get(&tree).map_or(0, |state| state.anew) }
    }

    /// The store took the place of one that was lost: nothing of these buckets is complete. To be said before anything is stored in it.
    pub fn is_replacement(&self, buckets: impl IntoIterator<Item = BucketId>) {
        self.lock().replaced.extend(buckets);
    }

    /// Something that a recovering replica held is damaged: it is missing with the rest, and those have to be asked again who were asked before.
    /// Returns whether the replica is recovering.
    pub(super) fn lacks_more(&self, tree: TreeId) -> bool {
        let mut inner = self.lock();
        if inner.stored(tree).recovering.is_none() || mutants::on(Mutant::RecoveringPartitionVotes) {
            return false;
        }
        let state = inner.state(tree);
        state.stored.recovering = Some(RecoveringMark::new(0));
        state.anew += 1;
        state.met.clear();
        inner.changed.insert(tree);
        true
    }

    /// Takes note of what another owner is. A replica that is two epochs or more behind was lost or restored.
    pub fn heard(&self, tree: TreeId, theirs: Standing) {
        let mut inner = self.lock();
        let ours = inner.stored(tree).epoch;
        let is_behind = theirs.epoch >= ours.plus(2);
        if is_behind || theirs.is_wanted || theirs.epoch > ours {
            let state = inner.state(tree);
            state.wanted = true;
            if is_behind {
                state.behind = state.behind.max(Some(theirs.epoch));
                inner.behind.insert(tree);
            }
        }
    }

    /// Takes note that a record of that epoch came from another owner.
    pub(super) fn heard_epoch(&self, tree: TreeId, epoch: Epoch) {
        if epoch > self.epoch(tree) {
            self.heard(tree, Standing { epoch, is_complete: true, ..Standing::default() });
        }
    }

    /// Something is held in a leaf now that goes some time.
    pub(super) fn age(&self, LeafId { tree, leaf }: LeafId) {
        let mut inner = self.lock();
        if inner.stored(tree).ages & bit(leaf) == 0 {
            inner.state(tree).stored.ages |= bit(leaf);
            inner.changed.insert(tree);
        }
        if let Some(sweep) = inner.sweeps.get_mut(&tree) {
            sweep.found |= bit(leaf);
        }
    }

    /// Takes note that an exchange that this node began is over: what either had then, both have now.
    pub fn met(&self, view: &View, meeting: Meeting) {
        let Meeting { tree, peer, begun, theirs } = meeting;
        let Some(bucket) = view.bucket_by_id(tree.bucket) else { return };
        let mut inner = self.lock();
        let is_first = !inner.states.contains_key(&tree) && !inner.replaced.contains(&tree.bucket);
        if is_first && !theirs.is_wanted {
            // Nothing has to end.
            return;
        }
        let state = inner.state(tree);
        state.seen.insert(peer, theirs.epoch);
        if begun.anew != state.anew {
            return;
        }
        let begun = begun.standing.epoch;
        let is_behind = theirs.epoch < begun && !mutants::on(Mutant::CountsThoseBehind);
        let is_clear = theirs.cleared >= begun || mutants::on(Mutant::OthersNeedNotAsk);
        if begun == state.stored.epoch && is_clear && !is_behind {
            state.met.insert(peer);
        }
        if let Some(mark) = &mut state.stored.recovering {
            mark.merged_with(peer, theirs.is_complete);
            let owners = view.owners(bucket, view.layout.partitioning().first_token(tree.partition));
            if mark.is_over(view.node(), owners, bucket.properties.w_min.into()) {
                state.stored.recovering = None;
            }
            inner.changed.insert(tree);
        }
    }

    /// The partitions of which members have to be asked for older copies, and for copies older than what: than the lowest epoch of any owner, so that
    /// what an owner reads now is refused nowhere.
    pub fn to_clear(&self, view: &View) -> Vec<ClearItem> {
        let inner = self.lock();
        let due = inner.states.iter().filter_map(|(tree, state)| {
            let seen = |owner: &NodeId| state.seen.get(owner).copied();
            let own = state.stored.epoch;
            let lowest = others(view, *tree)?.map(seen).min().unwrap_or(Some(own))?;
            let epoch = lowest.min(own);
            let is_wanted = state.stored.ages != 0 || state.wanted;
            (is_wanted && epoch > state.stored.cleared).then_some(ClearItem { tree: *tree, epoch })
        });
        due.take(TURNS_MAX).collect()
    }

    /// Takes note that no member keeps a copy of a partition that was read before an epoch.
    pub fn cleared(&self, ClearItem { tree, epoch }: ClearItem) {
        let mut inner = self.lock();
        let state = inner.state(tree);
        state.stored.cleared = epoch.max(state.stored.cleared);
        inner.changed.insert(tree);
    }

    /// Promises to take no copy that was read before `epoch`.
    pub(super) fn promise(&self, tree: TreeId, epoch: Epoch) {
        let mut inner = self.lock();
        if epoch > inner.stored(tree).asked {
            inner.state(tree).stored.asked = epoch;
            inner.changed.insert(tree);
        }
    }

    /// The partitions that are too far behind, with the epoch in which they are to begin anew.
    pub(super) fn behind(&self) -> Vec<(TreeId, Epoch)> {
        let inner = self.lock();
        let behind = inner.behind.iter().filter_map(|tree| Some((*tree, inner.states.get(tree)?.behind?)));
        behind.take(TURNS_MAX).collect()
    }

    /// Adds to `batch` that partitions which were emptied begin anew.
    pub(super) fn begin_anew(
        &self,
        anew: Vec<(TreeId, Epoch)>,
        changes: &mut EpochChanges,
        batch: &mut Batch,
    ) {
        let inner = self.lock();
        for (tree, epoch) in &anew {
            put(batch, *tree, &inner.stored(*tree).anew(*epoch));
        }
        changes.anew.extend(anew);
    }

    /// Adds to `batch` the next epoch of every partition in which all has happened that has to happen before.
    pub(super) fn turn(&self, view: &View, changes: &mut EpochChanges, batch: &mut Batch) {
        let inner = self.lock();
        let ready = inner.states.iter().filter(|(tree, state)| {
            let is_wanted = state.stored.ages != 0 || state.wanted;
            let is_clear = state.stored.cleared >= state.stored.epoch;
            let is_over = is_wanted && is_clear && state.behind.is_none();
            let has_met =
                others(view, **tree).is_some_and(|mut all| all.all(|owner| state.met.contains(owner)));
            is_over && has_met && !changes.anew.iter().any(|(anew, _)| anew == *tree)
        });
        for (tree, state) in ready.take(TURNS_MAX) {
            put(batch, *tree, &Stored { epoch: state.stored.epoch.plus(1), ..state.stored.clone() });
            changes.turned.push(*tree);
        }
    }

    /// Adds to `batch` what else has changed.
    pub(super) fn store(&self, changes: &mut EpochChanges, batch: &mut Batch) {
        let mut inner = self.lock();
        for tree in std::mem::take(&mut inner.changed) {
            let is_put = changes.turned.contains(&tree) || changes.anew.iter().any(|(anew, _)| *anew == tree);
            if !is_put {
                put(batch, tree, inner.stored(tree));
            }
            changes.stored.push(tree);
        }
    }

    /// The batch is committed.
    pub(super) fn commit(&self, changes: EpochChanges) {
        let mut inner = self.lock();
        for tree in changes.turned {
            let state = inner.state(tree);
            let stored = Stored { epoch: state.stored.epoch.plus(1), ..state.stored.clone() };
            let (ages, seen) = (stored.ages, std::mem::take(&mut state.seen));
            *state = State { seen, anew: state.anew, ..State::new(stored) };
            if ages != 0 {
                inner.sweeps.insert(tree, Sweep { left: ages, ..Sweep::default() });
            }
        }
        for (tree, epoch) in changes.anew {
            let stored = inner.stored(tree).anew(epoch);
            let state = inner.state(tree);
            *state = State { wanted: true, anew: state.anew + 1, ..State::new(stored) };
            inner.sweeps.remove(&tree);
            inner.behind.remove(&tree);
        }
        for bucket in changes.forgotten {
            inner.states.retain(|tree, _| tree.bucket != bucket);
            inner.sweeps.retain(|tree, _| tree.bucket != bucket);
            inner.behind.retain(|tree| tree.bucket != bucket);
            inner.changed.retain(|tree| tree.bucket != bucket);
        }
    }

    /// Adds to `batch` that nothing is known of a bucket any more, which was deleted.
    pub(super) fn forget(&self, bucket: BucketId, changes: &mut EpochChanges, batch: &mut Batch) {
        let inner = self.lock();
        inner.states.keys().filter(|tree| tree.bucket == bucket).for_each(|tree| remove(batch, *tree));
        changes.forgotten.push(bucket);
    }

    /// The batch was not written.
    pub(super) fn not_written(&self, changes: EpochChanges) {
        self.lock().changed.extend(changes.stored);
    }

    /// Whether partitions have to be looked through for what is due, emptied, or may go to their next epoch.
    pub fn has_work(&self) -> bool {
        let inner = self.lock();
        !inner.sweeps.is_empty() || !inner.behind.is_empty()
    }

    /// The leaves that have to be looked through next, all of one partition, and how far the first of them was.
    pub(super) fn next_sweep(&self) -> (Vec<LeafId>, Option<Vec<u8>>) {
        let inner = self.lock();
        let Some((tree, sweep)) = inner.sweeps.first_key_value() else { return (Vec::new(), None) };
        let leaves = (0..LEAVES as u8).filter(|leaf| sweep.left & bit(*leaf) != 0);
        (leaves.map(|leaf| LeafId { tree: *tree, leaf }).collect(), sweep.after.clone())
    }

    /// A leaf was looked through, or only as far as `after`; `found` says whether something is left in it that will go some time.
    pub(super) fn swept(&self, LeafId { tree, leaf }: LeafId, found: bool, after: Option<Vec<u8>>) {
        let mut inner = self.lock();
        let Some(sweep) = inner.sweeps.get_mut(&tree).filter(|sweep| sweep.left & bit(leaf) != 0) else {
            return;
        };
        sweep.found |= if found { bit(leaf) } else { 0 };
        sweep.left &= if after.is_none() { !bit(leaf) } else { u64::MAX };
        sweep.after = after;
        if sweep.left == 0
            && let Some(sweep) = inner.sweeps.remove(&tree)
        {
            inner.state(tree).stored.ages = sweep.found;
            inner.changed.insert(tree);
        }
    }

    /// Goes to an epoch with everything that is held.
    #[cfg(feature = "testing")]
    pub fn go_to(&self, tree: TreeId, epoch: Epoch) {
        self.lock().state(tree).stored.epoch = epoch;
    }
}

fn bit(leaf: u8) -> u64 {
    1 << (u32::from(leaf) % LEAVES as u32)
}

/// The other owners of a partition; none unless this node is one.
fn others(view: &View, tree: TreeId) -> Option<impl Iterator<Item = &NodeId>> {
    let bucket = view.bucket_by_id(tree.bucket)?;
    let owners = view.owners(bucket, view.layout.partitioning().first_token(tree.partition));
    let own = view.node();
    owners.contains(&own).then(|| owners.iter().filter(move |owner| **owner != own))
}

impl Stored {
    /// The same partition, emptied, in the epoch of the others.
    fn anew(&self, epoch: Epoch) -> Self {
        let recovering = Some(RecoveringMark::new(0));
        Stored { epoch, asked: self.asked, cleared: Epoch::NONE, recovering, ages: 0 }
    }
}

impl State {
    fn new(stored: Stored) -> Self {
        let (seen, met) = (BTreeMap::new(), BTreeSet::new());
        State { stored, seen, met, wanted: false, behind: None, anew: 0 }
    }
}

impl Inner {
    fn stored(&self, tree: TreeId) -> &Stored {
        self.states.get(&tree).map_or_else(|| self.first(tree), |state| &state.stored)
    }

    fn state(&mut self, tree: TreeId) -> &mut State {
        let first = self.first(tree);
        self.states.entry(tree).or_insert_with(|| State::new(first.clone()))
    }

    /// What a partition begins with.
    fn first(&self, tree: TreeId) -> &'static Stored {
        let is_replaced = self.replaced.contains(&tree.bucket);
        if is_replaced { &REPLACED_STORE } else { &FIRST_STORE }
    }
}
