use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::ids::NodeId;
use crate::mutants::{self, Mutant};

/// Most repairs under way to one peer. What is left out is found again by a later read, or by anti-entropy.
const REPAIRS_MAX: usize = 256;

/// The repairs that reads have sent and that are not answered: each record goes to each owner once at a time, however often it is read meanwhile, and
/// an owner that is slow to take them is sent no more.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// By the digests of the records.
    under_way: BTreeMap<NodeId, BTreeSet<u64>>,
    calls: BTreeMap<u64, (NodeId, SmallVec<[u64; 1]>)>,
    last_call: u64,
    /// Records that were not sent.
    pub(super) left_out: u64,
}

impl Repairs {
    /// Whether a record may be sent to an owner now; it counts as under way from then on.
    pub(super) fn admit(&mut self, peer: NodeId, digest: u64) -> bool {
        let under_way = self.under_way.entry(peer).or_default();
        let is_bounded = under_way.len() < REPAIRS_MAX && under_way.insert(digest);
        let is_admitted = is_bounded || mutants::on(Mutant::RepairsAreUnbounded);
        self.left_out += u64::from(!is_admitted);
        is_admitted
    }

    /// Takes note of a request with admitted records; returns its number.
    pub(super) fn sent(&mut self, peer: NodeId, digests: SmallVec<[u64; 1]>) -> u64 {
        self.last_call += 1;
        self.calls.insert(self.last_call, (peer, digests));
        self.last_call
    }

    /// A request was answered, or will not be.
    pub(super) fn ended(&mut self, call: u64) {
        let Some((peer, digests)) = self.calls.remove(&call) else { return };
        if let Some(under_way) = self.under_way.get_mut(&peer) {
            under_way.retain(|digest| !digests.contains(digest));
            if under_way.is_empty() {
                self.under_way.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_under_way_to_an_owner_once_and_owners_have_room_for_so_many() {
        let mut repairs = Repairs::default();
        let [one, other] = [1, 2].map(NodeId);
        assert!(repairs.admit(one, 7) && !repairs.admit(one, 7) && repairs.admit(other, 7));
        let call = repairs.sent(one, SmallVec::from_slice(&[7]));
        repairs.ended(call);
        repairs.ended(call);
        assert!(repairs.admit(one, 7) && !repairs.admit(other, 7));
        let admitted = (100..1_000).filter(|digest| repairs.admit(one, *digest)).count();
        assert_eq!((admitted, repairs.left_out), (REPAIRS_MAX - 1, 2 + 900 - (REPAIRS_MAX as u64 - 1)));
    }
}
