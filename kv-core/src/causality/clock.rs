use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::causality::Stamp;
use crate::ids::NodeId;
use crate::time::Now;

/// How far ahead of the wall clock the ceiling is stored, in milliseconds. It is also how far ahead a node may be after a restart.
const LEASE_MS: u64 = 1_000;

/// How far ahead of a clock that runs before the wall clock the ceiling is stored: such a clock goes on by counting, 65,536 stamps a
/// millisecond. A whole lease above it would drive the clock, and with it those of all others, further ahead at every restart.
const COUNTING_MS: u64 = 2;

/// The hybrid logical clock of one store, shared by everything that stamps.
///
/// It has no time source: the wall time comes with each call. The ceiling of stamps given out is stored ahead, in leases, so that a
/// node whose wall clock went backwards while it was down still never stamps below what it gave out before.
#[derive(Debug, Default)]
pub struct Clock {
    last: AtomicU64,
    ceiling: AtomicU64,
}

impl Clock {
    /// A clock that goes on above `ceiling`, the one that was stored last.
    pub fn above(ceiling: Stamp) -> Self {
        Clock { last: AtomicU64::new(ceiling.0), ceiling: AtomicU64::new(ceiling.0) }
    }

    /// The time on the clock; nothing is given out.
    pub fn read(&self, wall_ms: u64) -> Stamp {
        Stamp(self.last.load(Ordering::Acquire)).max(Stamp::from_millis(wall_ms))
    }

    /// A new stamp above every other that was given out.
    pub fn tick(&self, wall_ms: u64) -> Stamp {
        let wall = Stamp::from_millis(wall_ms).0;
        let next = |last: u64| Some(last.saturating_add(1).max(wall));
        let before = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        Stamp(before.unwrap_or_else(|last| last).saturating_add(1).max(wall))
    }

    /// Goes above a stamp that another node gave out, unless that is further ahead than `drift_ms_max`.
    pub fn observe(&self, seen: Stamp, wall_ms: u64, drift_ms_max: u64) {
        if seen.millis() <= wall_ms.saturating_add(drift_ms_max) {
            self.last.fetch_max(seen.0, Ordering::AcqRel);
        }
    }

    /// The ceiling that must be stored before the next stamp is given out, if the present one is near.
    pub fn lease_needed(&self, wall_ms: u64) -> Option<Stamp> {
        let reading = self.read(wall_ms).millis();
        let ceiling = Stamp(self.ceiling.load(Ordering::Acquire));
        let least = (wall_ms + LEASE_MS / 2).max(reading + COUNTING_MS / 2);
        (ceiling.millis() < least)
            .then(|| Stamp::from_millis((wall_ms + LEASE_MS).max(reading + COUNTING_MS)))
    }

    /// Notes that `ceiling` is stored.
    pub fn lease_stored(&self, ceiling: Stamp) {
        self.ceiling.fetch_max(ceiling.0, Ordering::AcqRel);
    }
}

/// What the clocks of the other members were when they were last heard, relative to this node's monotonic clock: so a jump of this
/// node's own wall clock shows at once.
#[derive(Debug, Default)]
pub struct PeerClocks {
    // Peer's milliseconds minus this node's monotonic milliseconds.
    offsets: Vec<(NodeId, AtomicI64)>,
}

const UNHEARD: i64 = i64::MIN;

impl PeerClocks {
    /// Knows nothing yet about any of `peers`.
    pub fn new(peers: impl IntoIterator<Item = NodeId>) -> Self {
        PeerClocks { offsets: peers.into_iter().map(|peer| (peer, AtomicI64::new(UNHEARD))).collect() }
    }

    /// Notes the clock of `peer` as it stood in a frame that just arrived.
    pub fn heard(&self, peer: NodeId, clock: Stamp, now: Now) {
        if let Some((_, offset)) = self.offsets.iter().find(|(node, _)| *node == peer) {
            offset.store(clock.millis() as i64 - now.monotonic_ms() as i64, Ordering::Relaxed);
        }
    }

    /// How far the wall clock of this node is from the median of its peers' clocks, in milliseconds, as a positive number; 0 while
    /// fewer than two peers were heard, since one clock against another tells nobody which of them is wrong.
    pub fn distance_ms(&self, now: Now) -> u64 {
        let mut heard: smallvec::SmallVec<[i64; 8]> = self
            .offsets
            .iter()
            .map(|(_, offset)| offset.load(Ordering::Relaxed))
            .filter(|offset| *offset != UNHEARD)
            .collect();
        if heard.len() < 2 {
            return 0;
        }
        heard.sort_unstable();
        let own = now.wall_ms as i64 - now.monotonic_ms() as i64;
        // With an even number the middle that is nearer counts: a single broken peer among two must not stop this node.
        let (below, above) = (heard.get((heard.len() - 1) / 2), heard.get(heard.len() / 2));
        [below, above].into_iter().flatten().map(|offset| offset.abs_diff(own)).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_when_the_wall_clock_falls() {
        let clock = Clock::above(Stamp::default());
        let stamps: Vec<Stamp> = [500, 500, 10, 0, 501].map(|wall| clock.tick(wall)).to_vec();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "{stamps:?}");
    }

    #[test]
    fn a_far_ahead_stamp_does_not_drag_the_clock() {
        let clock = Clock::above(Stamp::default());
        clock.observe(Stamp::from_millis(90_000), 1_000, 60_000);
        assert_eq!(clock.read(1_000), Stamp::from_millis(1_000));
        clock.observe(Stamp::from_millis(50_000), 1_000, 60_000);
        assert!(clock.tick(1_000) > Stamp::from_millis(50_000));
    }

    #[test]
    fn the_lease_is_renewed_before_it_ends() {
        let clock = Clock::above(Stamp::default());
        let lease = clock.lease_needed(5_000).unwrap();
        assert!(lease > Stamp::from_millis(5_000));
        clock.lease_stored(lease);
        assert_eq!(clock.lease_needed(5_100), None);
        assert!(clock.lease_needed(5_600).is_some());
    }

    #[test]
    fn restarts_do_not_drive_the_clocks_ahead() {
        let mut ceilings = [Stamp::default(); 3];
        let mut seen = Stamp::default();
        for restart in 0..10_000_u64 {
            let wall = 1_000_000 + restart * COUNTING_MS;
            let ceiling = &mut ceilings[restart as usize % 3];
            let clock = Clock::above(*ceiling);
            clock.observe(seen, wall, 60_000);
            let lease = clock.lease_needed(wall).unwrap_or(*ceiling);
            clock.lease_stored(lease);
            let stamp = clock.tick(wall);
            assert!(stamp > seen && stamp <= lease);
            assert!(stamp.millis() <= wall + LEASE_MS + COUNTING_MS, "{restart}: {stamp} at {wall}");
            (*ceiling, seen) = (lease, stamp);
        }
    }

    #[test]
    fn the_median_of_the_peers_decides() {
        let nodes = [1, 2, 3].map(NodeId);
        let peers = PeerClocks::new(nodes);
        let now = Now { monotonic_us: 0, wall_ms: 1_000 };
        peers.heard(nodes[0], Stamp::from_millis(100_000), now);
        assert_eq!(peers.distance_ms(now), 0, "one peer proves nothing");
        peers.heard(nodes[1], Stamp::from_millis(1_000), now);
        assert_eq!(peers.distance_ms(now), 0, "one of two agrees");
        peers.heard(nodes[2], Stamp::from_millis(101_000), now);
        assert_eq!(peers.distance_ms(now), 99_000);
    }

    #[test]
    fn a_jump_of_the_own_clock_shows_without_a_word_from_the_peers() {
        let nodes = [1, 2].map(NodeId);
        let peers = PeerClocks::new(nodes);
        for node in nodes {
            peers.heard(node, Stamp::from_millis(1_000), Now { monotonic_us: 0, wall_ms: 1_000 });
        }
        let jumped = Now { monotonic_us: 5_000_000, wall_ms: 500_000 };
        assert_eq!(peers.distance_ms(jumped), 500_000 - 6_000);
    }
}
