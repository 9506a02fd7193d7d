use super::mixer::mix;
use super::table::Table;
use super::topology::Topology;
use crate::ids::NodeId;
use crate::layout::Member;

/// Orders the members that do not own a partition: those of zones that are least used by the ones before them first, and among
/// them by weighted rendezvous hashing (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005), so that the stand-ins
/// of a dead member are many, in proportion to capacity, and stay where they are when members come and go.
pub(super) struct StandIns {
    seeds: Table<u64>,
    zone_used: Table<u32>,
    ranked: Vec<(u64, u32)>,
}

impl StandIns {
    pub(super) fn new(topology: &Topology, members: &[Member]) -> Self {
        StandIns {
            seeds: members.iter().map(|member| seed(member.id)).collect(),
            zone_used: Table::filled(topology.zones(), 0),
            ranked: Vec::with_capacity(members.len()),
        }
    }

    /// The members other than `owners`, in the order in which they stand in for `partition`.
    pub(super) fn order(
        &mut self,
        topology: &Topology,
        partition: usize,
        owners: &[u32],
    ) -> impl Iterator<Item = u32> {
        for zone in 0..topology.zones() {
            self.zone_used[zone] = 0;
        }
        for owner in owners {
            self.zone_used[topology.zone[*owner as usize]] += 1;
        }
        self.ranked.clear();
        for member in (0..topology.members() as u32).filter(|member| !owners.contains(member)) {
            let hash = mix(self.seeds[member as usize] ^ mix(partition as u64));
            self.ranked.push((distance(hash) / topology.capacity[member as usize].max(1), member));
        }
        self.ranked.sort_unstable();
        // The n-th member of a zone comes after the (n-1)-th of every other.
        for (distance, member) in &mut self.ranked {
            let used = &mut self.zone_used[topology.zone[*member as usize]];
            *distance = u64::from(*used);
            *used += 1;
        }
        self.ranked.sort_by_key(|(used, _)| *used);
        self.ranked.iter().map(|(_, member)| *member)
    }
}

fn seed(node: NodeId) -> u64 {
    mix(node.0 ^ 0x6b76_7374_616e_6400)
}

/// -log2 of `hash` read as a fraction of 2^64, in parts of 2^-56: in whole numbers, since a logarithm in floating point may differ
/// between platforms.
fn distance(hash: u64) -> u64 {
    const BITS: u32 = 24;
    let zeros = hash.leading_zeros().min(63);
    // The fraction is mantissa / 2^31, from 1 to 2; each squaring yields one bit of its logarithm.
    let mut mantissa = ((hash << zeros) >> 32).max(1 << 31);
    let mut log = 0u64;
    for _ in 0..BITS {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log |= 1;
        }
    }
    ((u64::from(zeros) + 1) << 56) - (log << (56 - BITS))
}
