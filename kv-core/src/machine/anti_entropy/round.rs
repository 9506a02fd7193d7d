use std::collections::{BTreeMap, VecDeque};

use crate::ids::NodeId;
use crate::time::Now;
use crate::tree::TreeId;
use crate::view::View;
use crate::wire::RepairStatus;

/// The order in which a node goes through its peers, and what came of it.
#[derive(Debug)]
pub(super) struct Round {
    seed: u64,
    /// When the next round begins, once that is decided.
    begins_at_us: Option<u64>,
    /// Rounds that somebody asked for.
    asked: u64,
    is_running: bool,
    is_eager: bool,
    peers: VecDeque<NodeId>,
    status: RepairStatus,
    /// When each pair was exchanged last.
    exchanged: BTreeMap<(TreeId, NodeId), u64>,
    now_us: u64,
    /// Whether members are still to be asked for older copies, between this round and the next.
    clears: bool,
}

impl Round {
    pub(super) fn new(seed: u64) -> Self {
        Round {
            seed,
            begins_at_us: None,
            asked: 0,
            is_running: false,
            is_eager: false,
            peers: VecDeque::new(),
            status: RepairStatus::default(),
            exchanged: BTreeMap::new(),
            now_us: 0,
            clears: false,
        }
    }

    pub(super) fn status(&self, trees_left: u64) -> RepairStatus {
        let oldest_us = self.exchanged.values().min().copied().unwrap_or(self.now_us);
        RepairStatus {
            trees_left,
            pairs: self.exchanged.len() as u64,
            oldest_ms: self.now_us.saturating_sub(oldest_us) / 1_000,
            ..self.status
        }
    }

    /// With whom a partition was exchanged, and how many milliseconds ago that was last.
    pub(super) fn exchanged_ms(&self, tree: TreeId, now: Now) -> Vec<(NodeId, u64)> {
        let pairs = self.exchanged.range((tree, NodeId(0))..=(tree, NodeId(u64::MAX)));
        pairs.map(|((_, peer), at_us)| (*peer, now.monotonic_us.saturating_sub(*at_us) / 1_000)).collect()
    }

    /// Asks for a round that begins from now on; returns its number.
    pub(super) fn start(&mut self) -> u64 {
        self.asked = self.status.rounds_begun + 1;
        self.is_eager = true;
        self.asked
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    pub(super) fn is_eager(&self) -> bool {
        self.is_eager
    }

    pub(super) fn peer(&self) -> Option<NodeId> {
        self.status.peer
    }

    /// The next peer of the round, or of the next round if that is due; none if nothing is.
    pub(super) fn next_peer(
        &mut self,
        view: &View,
        now: Now,
        is_up: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        self.now_us = now.monotonic_us;
        if !self.is_running {
            let due = self.begins_at_us.is_some_and(|at_us| now.monotonic_us >= at_us);
            if !due && self.asked <= self.status.rounds_begun {
                return None;
            }
            self.begin(view, now);
        }
        self.status.peer = loop {
            match self.peers.pop_front() {
                Some(peer) if is_up(peer) => break Some(peer),
                Some(_) => self.status.failures += 1,
                None => break None,
            }
        };
        if self.status.peer.is_none() {
            self.clears |= self.is_running;
            self.is_running = false;
            self.status.rounds_ended = self.status.rounds_begun;
            self.is_eager = self.asked > self.status.rounds_begun;
        }
        self.status.peer
    }

    fn begin(&mut self, view: &View, now: Now) {
        self.is_running = true;
        self.status.rounds_begun += 1;
        let period_us = period_us(view);
        self.begins_at_us = (period_us > 0).then_some(now.monotonic_us + period_us);
        let members = view.layout.members().iter().map(|member| member.id);
        self.peers = members.filter(|node| *node != view.node()).collect();
        // Not all nodes begin with the same one.
        let first = (self.seed.wrapping_add(self.status.rounds_begun) as usize) % self.peers.len().max(1);
        self.peers.rotate_left(first);
        self.exchanged.retain(|(tree, _), _| view.table().has(tree.bucket));
    }

    /// Whether members are to be asked for older copies now; once after each round.
    pub(super) fn takes_clearing(&mut self) -> bool {
        std::mem::take(&mut self.clears)
    }

    /// When there is something to do next, if no round is under way.
    pub(super) fn next_us(&mut self, view: &View, now: Now) -> u64 {
        if self.asked > self.status.rounds_begun {
            return now.monotonic_us;
        }
        if view.limits.repair_period_ms == 0 {
            self.begins_at_us = None;
            return u64::MAX;
        }
        let first_us = now.monotonic_us + self.seed % period_us(view).max(1);
        *self.begins_at_us.get_or_insert(first_us)
    }

    pub(super) fn exchanged(&mut self, tree: TreeId, now: Now) {
        self.now_us = now.monotonic_us;
        self.status.exchanges += 1;
        if let Some(peer) = self.status.peer {
            self.exchanged.insert((tree, peer), now.monotonic_us);
        }
    }

    pub(super) fn failed(&mut self) {
        self.status.failures += 1;
    }

    pub(super) fn repaired(&mut self, keys: u64, failed: u64) {
        self.status.keys_repaired += keys;
        self.status.keys_failed += failed;
    }
}

fn period_us(view: &View) -> u64 {
    view.limits.repair_period_ms * 1_000
}
