use std::collections::BTreeMap;

use crate::ids::{Incarnation, NodeId};
use crate::membership::Liveness;
use crate::mutants::{self, Mutant};

/// A peer is slow if its answers take this many times as long as those of the quickest peer, and [`SLOW_US`] more.
const SLOW_TIMES: u64 = 4;
/// See [`SLOW_TIMES`].
const SLOW_US: u64 = 5_000;
/// One answer counts for so much of the smoothed latency: one part in eight.
const SMOOTHING: u64 = 8;
/// Slower than this is as slow as can be: with each answer that is missed the latency counts as twice as long, and has to be forgiven in time.
const LATENCY_US_MAX: u64 = 10_000_000;

/// What a node knows of one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerHealth {
    /// The life of its store, as its last answer named it.
    pub life: Option<Incarnation>,
    /// Whether it can be reached, as gossip has it.
    pub liveness: Liveness,
    /// How long its answers to reads and writes take, smoothed, in microseconds; 0 if none came yet.
    pub latency_us: u64,
}

/// What a node knows of its peers, for choosing among them.
#[derive(Debug, Clone, Default)]
pub struct Health {
    peers: BTreeMap<NodeId, PeerHealth>,
}

impl Health {
    /// What is known of a peer.
    pub fn peer(&self, node: NodeId) -> PeerHealth {
        self.peers.get(&node).copied().unwrap_or_default()
    }

    /// Whether nothing speaks against asking a peer.
    pub fn is_up(&self, node: NodeId) -> bool {
        matches!(self.peer(node).liveness, Liveness::Up | Liveness::Unheard)
    }

    /// Whether a peer is known to be gone: it is not asked at all.
    pub fn is_down(&self, node: NodeId) -> bool {
        !mutants::on(Mutant::AbsentAreAsked) && self.peer(node).liveness == Liveness::Down
    }

    /// How gladly a peer is asked: the lower the better.
    pub fn rank(&self, node: NodeId) -> u8 {
        if mutants::on(Mutant::AbsentAreAsked) {
            return 0;
        }
        match self.peer(node).liveness {
            Liveness::Down => 3,
            Liveness::Suspected => 2,
            Liveness::Up | Liveness::Unheard => u8::from(self.is_slow(node)),
        }
    }

    /// Whether a peer takes far longer to answer than the quickest does.
    pub fn is_slow(&self, node: NodeId) -> bool {
        let latencies = self.peers.values().map(|peer| peer.latency_us).filter(|latency_us| *latency_us > 0);
        let quickest = latencies.min().unwrap_or(0);
        self.peer(node).latency_us > SLOW_TIMES * quickest + SLOW_US
    }

    pub(super) fn set_life(&mut self, node: NodeId, life: Option<Incarnation>) {
        self.peers.entry(node).or_default().life = life;
    }

    pub(super) fn set_liveness(&mut self, node: NodeId, liveness: Liveness) {
        self.peers.entry(node).or_default().liveness = liveness;
    }

    /// Takes note of how long a peer took to answer.
    pub(super) fn answered(&mut self, node: NodeId, took_us: u64) {
        let took_us = took_us.min(LATENCY_US_MAX);
        let latency_us = &mut self.peers.entry(node).or_default().latency_us;
        *latency_us = match *latency_us {
            0 => took_us.max(1),
            before => (before * (SMOOTHING - 1) + took_us) / SMOOTHING,
        };
    }

    /// Takes note that a peer has not answered after `waited_us` and that another is asked in its place.
    pub(super) fn missed(&mut self, node: NodeId, waited_us: u64) {
        let twice = self.peer(node).latency_us * 2;
        self.answered(node, waited_us.max(twice));
    }

    /// Forgives with time: who is not asked because it was slow cannot show that it is not any more.
    pub(super) fn forgive(&mut self) {
        for peer in self.peers.values_mut() {
            peer.latency_us -= peer.latency_us / 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_does_not_answer_is_asked_last_until_it_is_forgiven() {
        let mut health = Health::default();
        let [quick, slow, far] = [1, 2, 3].map(NodeId);
        for _ in 0..20 {
            health.answered(quick, 300);
            health.answered(slow, 400);
            health.answered(far, 4_000);
        }
        assert_eq!(
            [quick, slow, far].map(|node| health.rank(node)),
            [0, 0, 0],
            "a little slower is not slow"
        );
        for _ in 0..3 {
            health.missed(slow, 20_000);
        }
        assert_eq!(health.rank(slow), 1);
        health.set_liveness(far, Liveness::Suspected);
        assert_eq!(health.rank(far), 2);
        health.set_liveness(far, Liveness::Down);
        assert_eq!((health.rank(far), health.is_up(far), health.is_down(far)), (3, false, true));
        let seconds = (0..60).find(|_| {
            health.forgive();
            health.answered(quick, 300);
            !health.is_slow(slow)
        });
        assert!(seconds.is_some_and(|seconds| seconds < 10));
    }

    #[test]
    fn whatever_a_peer_misses_it_is_forgiven_within_a_minute() {
        let mut health = Health::default();
        let [quick, gone] = [1, 2].map(NodeId);
        health.answered(quick, 300);
        for _ in 0..100_000 {
            health.missed(gone, u64::MAX);
        }
        let seconds = (0..60).find(|_| {
            health.forgive();
            !health.is_slow(gone)
        });
        assert!(seconds.is_some());
    }
}
