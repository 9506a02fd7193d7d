mod clearing;
mod leaves;
mod listing;
mod round;

use std::collections::{BTreeMap, VecDeque};

use crate::command::ScanPosition;
use crate::error::Error;
use crate::ids::{NodeId, TraceId};
use crate::machine::anti_entropy::clearing::Clearing;
use crate::machine::anti_entropy::leaves::Listing;
use crate::machine::anti_entropy::round::Round;
use crate::machine::outbox::Outbox;
use crate::machine::{CallToken, Effect, PreparedGet};
use crate::mutants::{self, Mutant};
use crate::replica::{Begun, Meeting, Mutation, Ours};
use crate::time::Now;
use crate::transport::CallError;
use crate::tree::{LeafId, Tree, TreeId};
use crate::view::View;
use crate::wire::{AnswerBody, CompareAnswer, CompareItem, RangeAnswer, RepairStatus, RequestBody, Standing};

/// Trees that are compared in one request.
const TREES_MAX: usize = 128;
/// Leaves that the writer counts at a time: each is a look at all of its records, and puts wait meanwhile.
const LEAVES_MAX: usize = 8;
/// Keys that are repaired at a time.
const KEYS_MAX: usize = 64;
/// Entries of a leaf that are listed at a time.
const ENTRIES_MAX: u32 = 1_000;
/// How long leaves that have to be counted are waited for.
const COUNT_US: u64 = 10_000;
/// Longest rest after a step.
const REST_US_MAX: u64 = 1_000_000;
/// How often in a period the writer is told to look after epochs.
const TURNS: u64 = 8;
/// But not more often.
const TURN_US: u64 = 10_000;
/// How often a node that lacks something begins a round for its sake, whatever the period is.
const RECOVER_US: u64 = 5_000_000;
/// How soon again, if it has not finished.
const TURN_AGAIN_US: u64 = 2_000;
/// How often the trees are stored, so that after a crash only what was written to since has to be counted.
const CHECKPOINT_US: u64 = 300_000_000;
/// Between two pieces of that.
const CHECKPOINT_PIECE_US: u64 = 100_000;
/// Trees that are stored at once.
const CHECKPOINT_TREES: usize = 128;

/// Anti-entropy (Dynamo section 4.7): compares what this node holds with what each other owner holds, a partition at a time, and brings both
/// to the same.
///
/// Roots first, then the leaves of those that differ, then the names of what is in the leaves that differ; records are read only of the keys
/// that do. One step is under way at a time, and after each it rests for as long as the step took.
#[derive(Debug)]
pub(super) struct AntiEntropy {
    round: Round,
    state: State,
    /// Numbers the steps, so that late answers are known.
    step: u64,
    since_us: u64,
    at_us: u64,
    /// The trees that are still to be compared with the present peer.
    trees: VecDeque<TreeId>,
    /// The leaves that are still to be listed, and of each tree how many and whether all went well so far.
    leaves: VecDeque<LeafId>,
    open: BTreeMap<TreeId, Open>,
    /// The tree whose leaves are being counted, and how many had to be.
    counting: Option<(TreeId, usize)>,
    checkpoint_at_us: u64,
    checkpoints_left: usize,
    /// When the writer is told to look after epochs.
    turn_at_us: u64,
    /// When the next round may begin for the sake of what this node lacks.
    recover_at_us: u64,
}

#[derive(Debug)]
enum State {
    Resting,
    ReadingTrees(Vec<TreeId>),
    Comparing(Vec<(TreeId, Ours)>),
    /// Asks members for older copies.
    Clearing(Clearing),
    Listing(Listing),
    Repairing(Listing, VecDeque<PreparedGet>),
}

/// A tree that differs: its leaves that are still to be dealt with, whether all went well so far, and how either side stood.
#[derive(Debug)]
struct Open {
    leaves: usize,
    went_well: bool,
    begun: Begun,
    theirs: Standing,
}

/// What a step wants of the machine.
pub(super) type Gets = Option<Vec<Result<PreparedGet, Error>>>;

impl AntiEntropy {
    /// Begins its first round a part of a period after the start, which `seed` decides.
    pub(super) fn new(seed: u64) -> Self {
        AntiEntropy {
            round: Round::new(seed),
            state: State::Resting,
            step: 0,
            since_us: 0,
            at_us: 0,
            trees: VecDeque::new(),
            leaves: VecDeque::new(),
            open: BTreeMap::new(),
            counting: None,
            checkpoint_at_us: 0,
            checkpoints_left: 0,
            turn_at_us: 0,
            recover_at_us: 0,
        }
    }

    /// How it is getting on.
    pub(super) fn status(&self) -> RepairStatus {
        self.round.status(self.trees.len() as u64)
    }

    /// With whom a partition was exchanged, and how many milliseconds ago that was last.
    pub(super) fn exchanged_ms(&self, tree: TreeId, now: Now) -> Vec<(NodeId, u64)> {
        self.round.exchanged_ms(tree, now)
    }

    /// Begins a round now, and goes through it without rest; returns its number.
    pub(super) fn start(&mut self, now: Now) -> u64 {
        self.at_us = self.at_us.min(now.monotonic_us);
        self.round.start()
    }

    /// When it wants to be ticked.
    pub(super) fn next_us(&self) -> u64 {
        if matches!(self.state, State::Resting) {
            self.at_us.min(self.checkpoint_at_us).min(self.turn_at_us)
        } else {
            u64::MAX
        }
    }

    pub(super) fn tick<T>(&mut self, (view, now): (&View, Now), outbox: &mut Outbox<'_, T>) {
        if !matches!(self.state, State::Resting) {
            return;
        }
        if now.monotonic_us >= self.turn_at_us {
            let period_us = view.limits.repair_period_ms * 1_000 / TURNS;
            self.turn_at_us =
                now.monotonic_us + if period_us == 0 { RECOVER_US } else { period_us.max(TURN_US) };
            outbox.effect(Effect::Mutate(Mutation::Turn));
        }
        if now.monotonic_us >= self.checkpoint_at_us {
            self.checkpoint(view, now, outbox);
        }
        if now.monotonic_us >= self.at_us {
            self.go_on((view, now), outbox);
        }
    }

    fn checkpoint<T>(&mut self, view: &View, now: Now, outbox: &mut Outbox<'_, T>) {
        if self.checkpoints_left == 0 {
            let trees = view.table().buckets().count() * view.layout.partitioning().count() as usize;
            self.checkpoints_left = if self.checkpoint_at_us == 0 { 1 } else { 1 + trees / CHECKPOINT_TREES };
        }
        outbox.effect(Effect::Mutate(Mutation::Checkpoint { trees_max: CHECKPOINT_TREES }));
        self.checkpoints_left -= 1;
        let wait_us = if self.checkpoints_left == 0 { CHECKPOINT_US } else { CHECKPOINT_PIECE_US };
        self.checkpoint_at_us = now.monotonic_us + wait_us;
    }

    /// Does what is next: a leaf, some trees, the next peer, or nothing until the next round.
    fn go_on<T>(&mut self, (view, now): (&View, Now), outbox: &mut Outbox<'_, T>) {
        self.since_us = now.monotonic_us;
        if let Some(leaf) = self.leaves.pop_front() {
            let (first, last) = leaf.tokens(view.layout.partitioning());
            let from = ScanPosition::at(first);
            let (ours, theirs, next) = (None, None, None);
            let listing = Listing { leaf, from, last, ours, theirs, next, found: 0, failed: false };
            return self.list((view, now), listing, outbox);
        }
        loop {
            if !self.trees.is_empty() {
                let some = self.trees.drain(..self.trees.len().min(TREES_MAX)).collect();
                return self.read_trees(some, outbox);
            }
            match self.round.next_peer(view, now, |node| outbox.health.is_up(node)) {
                Some(peer) => self.trees = shared_trees(view, peer),
                // Between two rounds.
                None if self.round.takes_clearing() => return self.read_to_clear(outbox),
                None => break,
            }
        }
        self.at_us = self.round.next_us(view, now);
        self.turn_at_us = self.turn_at_us.min(now.monotonic_us + TURN_US);
    }

    fn read_trees<T>(&mut self, ids: Vec<TreeId>, outbox: &mut Outbox<'_, T>) {
        self.step += 1;
        outbox.effect(Effect::ReadTrees(self.step, ids.clone()));
        self.state = State::ReadingTrees(ids);
    }

    fn rest(&mut self, now: Now) {
        let took_us = now.monotonic_us.saturating_sub(self.since_us).min(REST_US_MAX);
        self.state = State::Resting;
        self.at_us = now.monotonic_us + if self.round.is_eager() { 0 } else { took_us };
    }

    /// This node's own trees were read.
    pub(super) fn trees<T>(
        &mut self,
        (view, now): (&View, Now),
        (step, trees): (u64, Vec<Ours>),
        outbox: &mut Outbox<'_, T>,
    ) {
        let State::ReadingTrees(ids) = &mut self.state else { return };
        if step != self.step || trees.len() != ids.len() {
            return;
        }
        let all = std::mem::take(ids).into_iter().zip(trees);
        let (known, unknown): (Vec<_>, Vec<_>) = all.partition(|(_, ours)| ours.tree.is_known());
        self.count(unknown, outbox);
        let Some(peer) = self.round.peer().filter(|_| !known.is_empty()) else {
            self.rest(now);
            self.at_us = self.at_us.max(now.monotonic_us + COUNT_US);
            return;
        };
        let items = known.iter().map(|(tree, ours)| CompareItem {
            tree: *tree,
            standing: ours.begun.standing,
            root: ours.tree.root().unwrap_or_default(),
        });
        self.call(view, peer, RequestBody::Compare(items.collect()), outbox);
        self.state = State::Comparing(known);
    }

    /// Has some leaves counted, of trees that come again once the others are compared.
    fn count<T>(&mut self, unknown: Vec<(TreeId, Ours)>, outbox: &mut Outbox<'_, T>) {
        let Some((first, Ours { tree, .. })) = unknown.first() else { return };
        let left = tree.unknown().count();
        let is_stuck = self.counting == Some((*first, left));
        self.counting = Some((*first, left));
        let leaves = tree.unknown().take(LEAVES_MAX).map(|leaf| LeafId { tree: *first, leaf });
        outbox.effect(Effect::Mutate(Mutation::Count { leaves: leaves.collect(), reply: None }));
        for (id, ..) in unknown.into_iter().rev() {
            self.trees.push_front(id);
        }
        if is_stuck {
            // It cannot be read now; it is tried again in the next round.
            self.trees.pop_front();
            self.round.failed();
        }
    }

    fn call<T>(&self, view: &View, peer: NodeId, body: RequestBody, outbox: &mut Outbox<'_, T>) {
        outbox.effect(Effect::Call {
            peer,
            body,
            timeout_us: view.limits.deadline_ms_default * 1_000,
            token: CallToken::AntiEntropy(self.step),
            trace: TraceId::NONE,
        });
    }

    /// The peer answered, or did not.
    pub(super) fn answer<T>(
        &mut self,
        at: (&View, Now),
        (step, result): (u64, Result<AnswerBody, CallError>),
        outbox: &mut Outbox<'_, T>,
    ) -> Gets {
        if step != self.step {
            return None;
        }
        match &mut self.state {
            State::Comparing(known) => {
                let known = std::mem::take(known);
                match result {
                    Ok(AnswerBody::Compared(answers)) if answers.len() == known.len() => {
                        self.compared(at.1, known, answers, outbox);
                    }
                    _ => self.give_up_peer(),
                }
                self.rest(at.1);
                None
            }
            State::Listing(listing) => {
                match result {
                    Ok(AnswerBody::Range(RangeAnswer::Page(page))) => listing.theirs = Some(page),
                    _ => {
                        self.give_up_peer();
                        self.rest(at.1);
                        return None;
                    }
                }
                self.listed_both(at, outbox)
            }
            State::Clearing(clearing) => {
                clearing.answered(result);
                self.clear(at, outbox);
                None
            }
            State::Resting | State::ReadingTrees(_) | State::Repairing(..) => None,
        }
    }

    /// The peer does not answer: the next one is tried.
    fn give_up_peer(&mut self) {
        self.trees.clear();
        self.leaves.clear();
        self.open.clear();
        self.round.failed();
    }

    fn compared<T>(
        &mut self,
        now: Now,
        known: Vec<(TreeId, Ours)>,
        answers: Vec<CompareAnswer>,
        outbox: &mut Outbox<'_, T>,
    ) {
        for ((id, ours), answer) in known.into_iter().zip(answers) {
            let theirs = match &answer {
                CompareAnswer::Differs(theirs, sums) => Tree::of(sums, u64::MAX).map(|tree| (*theirs, tree)),
                CompareAnswer::Same(theirs) => Some((*theirs, ours.tree)),
                CompareAnswer::Unknown | CompareAnswer::Refused(_) => None,
            };
            let Some((theirs, tree)) = theirs else {
                self.round.failed();
                continue;
            };
            let mut leaves: Vec<u8> = ours.tree.differing(tree.sums()).collect();
            outbox.effect(Effect::Heard(id, theirs));
            if mutants::on(Mutant::LastLeafIsSkipped) {
                leaves.retain(|leaf| *leaf < 48);
            }
            let begun = ours.begun;
            if leaves.is_empty() {
                self.exchanged(id, (begun, theirs), now, outbox);
                continue;
            }
            self.open.insert(id, Open { leaves: leaves.len(), went_well: true, begun, theirs });
            self.leaves.extend(leaves.into_iter().map(|leaf| LeafId { tree: id, leaf }));
        }
    }

    /// What either had when the exchange began, both have now.
    fn exchanged<T>(
        &mut self,
        tree: TreeId,
        (begun, theirs): (Begun, Standing),
        now: Now,
        outbox: &mut Outbox<'_, T>,
    ) {
        self.round.exchanged(tree, now);
        if let Some(peer) = self.round.peer() {
            outbox.effect(Effect::Met(Meeting { tree, peer, begun, theirs }));
        }
    }

    /// The writer has looked after epochs.
    pub(super) fn turned(&mut self, now: Now, has_work: bool, recovers: bool) {
        if has_work {
            self.turn_at_us = self.turn_at_us.min(now.monotonic_us + TURN_AGAIN_US);
        }
        if recovers && now.monotonic_us >= self.recover_at_us && !self.round.is_running() {
            // Until it has compared itself with the others it does not vote.
            self.recover_at_us = now.monotonic_us + RECOVER_US;
            self.start(now);
        }
    }
}

/// The partitions of all buckets of which both this node and `peer` are owners.
fn shared_trees(view: &View, peer: NodeId) -> VecDeque<TreeId> {
    let partitioning = view.layout.partitioning();
    let mut shared = VecDeque::new();
    for (_, id, _) in view.table().buckets() {
        let Some(bucket) = view.bucket_by_id(id) else { continue };
        for partition in (0..partitioning.count()).map(crate::ids::PartitionId) {
            let owners = view.owners(bucket, partitioning.first_token(partition));
            if owners.contains(&peer) && owners.contains(&view.node()) {
                shared.push_back(TreeId { bucket: id, partition });
            }
        }
    }
    shared
}
