use crate::ids::{NodeId, PartitionId};
use crate::layout::{FailureDomain, Member, Placement};
use crate::replication::{PlacementAnswer, PlacementRequest, ReplicationStrategy, unmet_constraints};

/// Most virtual nodes on a ring: past it every member's number is halved until they fit.
const VIRTUAL_NODES_MAX: u64 = 1 << 18;

/// A consistent-hash ring with virtual nodes (Karger et al., STOC 1997; Dynamo sections 4.2 and 6.2).
///
/// Each member stands on the ring at a number of positions in proportion to its capacity, hashed from its id and their index alone,
/// so that members that come or go leave the others where they are. A partition's preference list is the walk clockwise from its
/// first token over distinct members. The owners are taken in three walks: one member of each data centre, then members of
/// further zones, then any; the rest of the list is the rest of the walk.
///
/// The previous placement is not looked at: stability comes from the ring. Loads are random and spread by about a quarter; where
/// that matters, use [`crate::replication::BalancedPlacement`].
#[derive(Debug, Clone, Copy)]
pub struct HashRing {
    virtual_nodes: u32,
}

impl HashRing {
    /// Virtual nodes of a member with capacity 100, unless told otherwise.
    pub const VIRTUAL_NODES_DEFAULT: u32 = 256;

    /// A ring on which a member of capacity 100 stands at `virtual_nodes` positions, at least 1.
    pub fn new(virtual_nodes: u32) -> Self {
        HashRing { virtual_nodes: virtual_nodes.max(1) }
    }

    /// The positions of the virtual nodes, ascending, each with the place of its member.
    fn positions(self, members: &[Member]) -> Vec<(u64, usize)> {
        let wanted = |member: &Member| u64::from(member.capacity) * u64::from(self.virtual_nodes) / 100;
        let total: u64 = members.iter().map(wanted).sum();
        let mut halvings = 0;
        while total >> halvings > VIRTUAL_NODES_MAX {
            halvings += 1;
        }
        let mut positions = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let count = (wanted(member) >> halvings).max(1);
            positions.extend((0..count).map(|index| (position(member.id, index), place)));
        }
        // Members are ascending by id, so that even two equal positions have a fixed order.
        positions.sort_unstable();
        positions
    }
}

impl Default for HashRing {
    fn default() -> Self {
        HashRing::new(HashRing::VIRTUAL_NODES_DEFAULT)
    }
}

impl ReplicationStrategy for HashRing {
    fn name(&self) -> String {
        format!("hash_ring:{}", self.virtual_nodes)
    }

    fn place(&self, request: &PlacementRequest<'_>) -> PlacementAnswer {
        let members = request.members;
        let ring = self.positions(members);
        let mut walk = Walk::new(members);
        let mut nodes = Vec::with_capacity(request.partitioning.count() as usize * members.len());
        for partition in 0..request.partitioning.count() {
            let token = request.partitioning.first_token(PartitionId(partition));
            let start = ring.partition_point(|(position, _)| *position < token.0);
            let (before, after) = ring.split_at(start);
            walk.run(after.iter().chain(before).map(|(_, place)| *place));
            nodes.extend(walk.preference_list(request.replicas.min(members.len())));
        }
        let placement = Placement::from_lists(nodes.chunks(members.len().max(1)))
            .expect("a request has at least one member and one partition");
        let unmet = unmet_constraints(request, &placement, self.balance());
        PlacementAnswer { placement, unmet }
    }

    fn balance(&self) -> f64 {
        2.0
    }

    fn movement(&self) -> f64 {
        2.0
    }
}

fn position(node: NodeId, index: u64) -> u64 {
    let mut bytes = [0; 16];
    let (id, number) = bytes.split_at_mut(8);
    id.copy_from_slice(&node.0.to_le_bytes());
    number.copy_from_slice(&index.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// One walk round the ring: the distinct members in the order in which they are met.
struct Walk<'a> {
    members: &'a [Member],
    met: Vec<&'a Member>,
    met_in_walk: Vec<u32>,
    walk: u32,
}

impl<'a> Walk<'a> {
    fn new(members: &'a [Member]) -> Self {
        Walk { members, met: Vec::new(), met_in_walk: vec![0; members.len()], walk: 0 }
    }

    fn run(&mut self, places: impl Iterator<Item = usize>) {
        self.walk += 1;
        self.met.clear();
        for place in places {
            let (Some(mark), Some(member)) = (self.met_in_walk.get_mut(place), self.members.get(place))
            else {
                continue;
            };
            if *mark != self.walk {
                *mark = self.walk;
                self.met.push(member);
            }
            if self.met.len() == self.members.len() {
                break;
            }
        }
    }

    fn preference_list(&mut self, owners: usize) -> impl Iterator<Item = NodeId> {
        let mut chosen: Vec<&Member> = Vec::with_capacity(self.members.len());
        let mut data_centers: Vec<&str> = Vec::new();
        let mut zones: Vec<FailureDomain<'_>> = Vec::new();
        for pass in [Pass::DataCenters, Pass::Zones, Pass::Any] {
            self.met.retain(|member| {
                let (data_center, zone) = (member.data_center.as_str(), member.failure_domain());
                let fits = chosen.len() < owners
                    && match pass {
                        Pass::DataCenters => !data_centers.contains(&data_center),
                        Pass::Zones => !zones.contains(&zone),
                        Pass::Any => true,
                    };
                if fits {
                    chosen.push(member);
                    data_centers.push(data_center);
                    zones.push(zone);
                }
                !fits
            });
        }
        chosen.append(&mut self.met);
        chosen.into_iter().map(|member| member.id)
    }
}

#[derive(Clone, Copy)]
enum Pass {
    DataCenters,
    Zones,
    Any,
}

#[cfg(test)]
mod tests;
