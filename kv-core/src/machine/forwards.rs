use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Incarnation, NodeId};

/// Most peers' lives that are remembered as over; the oldest is forgotten first.
const RETIRED_MAX: usize = 4_096;

/// Makes sure that a put that a peer hands over is run at most once, however often the request arrives: of each peer's present life it
/// remembers the numbers at and above the lowest that is not settled.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Debug)]
struct Peer {
    incarnation: Incarnation,
    floor: u64,
    seen: BTreeSet<u64>,
    retired: Vec<Incarnation>,
}

impl Forwards {
    /// Whether the request is new and is to be run.
    pub(super) fn admit(&mut self, from: NodeId, incarnation: Incarnation, id: u64, floor: u64) -> bool {
        let fresh = || Peer { incarnation, floor: 0, seen: BTreeSet::new(), retired: Vec::new() };
        let peer = self.peers.entry(from).or_insert_with(fresh);
        if peer.incarnation != incarnation {
            if peer.retired.contains(&incarnation) {
                return false;
            }
            peer.retired.push(peer.incarnation);
            if peer.retired.len() > RETIRED_MAX {
                peer.retired.remove(0);
            }
            let retired = std::mem::take(&mut peer.retired);
            *peer = Peer { retired, ..fresh() };
        }
        peer.floor = peer.floor.max(floor);
        peer.seen = peer.seen.split_off(&peer.floor);
        id >= peer.floor && peer.seen.insert(id)
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
        assert!(!admit(1, 10, 10), "an earlier life is over");
    }
}
