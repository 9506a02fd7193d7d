use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Incarnation, NodeId};

/// Most lives of one peer of which requests are told apart; the one that was heard of longest ago is over when there are more.
const LIVES_MAX: usize = 4;

/// Most lives of one peer that are remembered as over; the oldest is forgotten first.
const RETIRED_MAX: usize = 4_096;

/// Makes sure that a put that a peer hands over is run at most once, however often the request arrives: of the last few lives of each peer it
/// remembers the numbers at and above the lowest that is not settled. Which of two lives is the later nobody can tell: a request of an earlier one may
/// come after those of the present one.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    /// The one that was heard of last is the last.
    lives: Vec<PeerLife>,
    retired: Vec<Incarnation>,
}

#[derive(Debug)]
struct PeerLife {
    incarnation: Incarnation,
    floor: u64,
    seen: BTreeSet<u64>,
}

impl Forwards {
    /// Whether the request is new and is to be run.
    pub(super) fn admit(&mut self, from: NodeId, incarnation: Incarnation, id: u64, floor: u64) -> bool {
        let peer = self.peers.entry(from).or_default();
        if peer.retired.contains(&incarnation) {
            return false;
        }
        let known = peer.lives.iter().position(|life| life.incarnation == incarnation);
        let mut life = match known {
            Some(place) => peer.lives.remove(place),
            None => PeerLife { incarnation, floor: 0, seen: BTreeSet::new() },
        };
        life.floor = life.floor.max(floor);
        life.seen = life.seen.split_off(&life.floor);
        let is_new = id >= life.floor && life.seen.insert(id);
        peer.lives.push(life);
        if peer.lives.len() > LIVES_MAX {
            peer.retired.push(peer.lives.remove(0).incarnation);
        }
        if peer.retired.len() > RETIRED_MAX {
            peer.retired.remove(0);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_admitted_once_however_late_it_comes_again() {
        let mut forwards = Forwards::default();
        let mut admit = |life, id, floor| forwards.admit(NodeId(1), Incarnation(life), id, floor);
        assert!(admit(1, 1, 1));
        assert!(!admit(1, 1, 1), "again at once");
        assert!(admit(1, 3, 1) && admit(1, 2, 1), "out of order");
        assert!(admit(1, 9, 9), "1 to 8 are settled");
        assert!(!admit(1, 2, 1), "again after it was settled");
        assert!(!admit(1, 4, 1), "never seen, but its sender has given it up");
        assert!(admit(2, 1, 1), "another life of the peer");
        assert!(admit(1, 10, 10) && !admit(1, 10, 10), "late, and once");
        assert!(admit(2, 2, 1), "what comes late from an earlier life ends no later one");
        for life in 3..20 {
            assert!(admit(life, 1, 1));
        }
        assert!(!admit(1, 11, 11) && !admit(2, 3, 1), "they are over");
        assert!(admit(19, 2, 1));
    }
}
