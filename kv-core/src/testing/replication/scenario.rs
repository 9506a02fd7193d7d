use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ids::NodeId;
use crate::layout::{Member, Partitioning, Placement};
use crate::replication::PlacementRequest;

/// A set of members and what is asked for them.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) members: Vec<Member>,
    pub(super) partitioning: Partitioning,
    pub(super) replicas: usize,
}

impl Scenario {
    pub(super) fn request<'a>(&'a self, previous: Option<&'a Placement>) -> PlacementRequest<'a> {
        let Scenario { members, partitioning, replicas } = self;
        PlacementRequest { members, partitioning: *partitioning, replicas: *replicas, previous }
    }

    /// In words, for the reason of a failure.
    pub(super) fn describe(&self) -> String {
        let members = self.members.iter().map(|member| {
            format!("{}:{}/{}:{}", member.id, member.data_center, member.zone, member.capacity)
        });
        let members = members.collect::<Vec<_>>().join(" ");
        format!("{} replicas in {} partitions on {members}", self.replicas, self.partitioning.count())
    }

    /// Owners of each partition.
    pub(super) fn owners(&self) -> usize {
        self.replicas.min(self.members.len())
    }

    /// The share of `member` by capacity, in owner slots.
    pub(super) fn share(&self, member: &Member) -> f64 {
        let all: f64 = self.members.iter().map(|member| f64::from(member.capacity)).sum();
        self.slots() * f64::from(member.capacity) / all
    }

    /// Owner slots of all partitions.
    pub(super) fn slots(&self) -> f64 {
        f64::from(self.partitioning.count()) * self.owners() as f64
    }

    /// Whether nothing but whole numbers stands between the members and their shares.
    pub(super) fn is_attainable(&self) -> bool {
        let alone = self.members.iter().all(|member| member.zone.is_empty() && member.data_center.is_empty());
        let partitions = f64::from(self.partitioning.count());
        alone && self.members.iter().all(|member| self.share(member) <= partitions)
    }

    /// The scenario with one more member like those that are there.
    pub(super) fn with_one_more(&self, random: &mut ChaCha8Rng) -> Self {
        let mut more = self.clone();
        if let Some(member) = self.members.choose(random) {
            more.members.push(Member { id: new_id(random), ..member.clone() });
        }
        more.members.sort_by_key(|member| member.id);
        more
    }

    /// The scenario with one member less, if there are two or more.
    pub(super) fn with_one_less(&self, random: &mut ChaCha8Rng) -> Self {
        let mut less = self.clone();
        if less.members.len() > 1 {
            less.members.remove(random.random_range(0..less.members.len()));
        }
        less
    }
}

fn new_id(random: &mut ChaCha8Rng) -> NodeId {
    NodeId(random.random_range(1..=u64::MAX))
}

/// Scenarios of all sizes, zones, data centres and capacities; the same in every run.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let mut scenarios = Vec::new();
    for count in [1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 24, 40] {
        for zones in [0, 1, 2, 3, 5] {
            let capacities = [1..=1, 100..=100, 50..=200, 1..=100];
            let capacities = capacities.choose(&mut random).cloned().unwrap_or(100..=100);
            let data_centers = *[1, 1, 2, 3].choose(&mut random).unwrap_or(&1);
            let members = (0..count).map(|_| {
                let mut member = Member::new(new_id(&mut random), "127.0.0.1:7380");
                if zones > 0 {
                    member.zone = format!("zone-{}", random.random_range(0..zones));
                    member.data_center = format!("dc-{}", random.random_range(0..data_centers));
                }
                member.capacity = random.random_range(capacities.clone());
                member
            });
            let mut members: Vec<Member> = members.collect();
            members.sort_by_key(|member| member.id);
            let partitions = *[128, 256, 512].choose(&mut random).unwrap_or(&256);
            let partitioning = Partitioning::new(partitions).expect("a power of two");
            let replicas = *[1, 2, 3, 3, 3, 5].choose(&mut random).unwrap_or(&3);
            scenarios.push(Scenario { members, partitioning, replicas });
        }
    }
    scenarios
}

/// As many members as there may be at least, from one up, whose capacities differ by a factor of 100.
pub(super) fn extremes() -> impl Iterator<Item = Scenario> {
    let mut random = ChaCha8Rng::seed_from_u64(64);
    (1..=64).map(move |count| {
        let mut members: Vec<Member> = (0..count)
            .map(|index| {
                let mut member = Member::new(new_id(&mut random), "127.0.0.1:7380");
                member.capacity = if index % 3 == 0 { 1 } else { 100 };
                if count % 2 == 0 {
                    member.zone = format!("zone-{}", index % 4);
                }
                member
            })
            .collect();
        members.sort_by_key(|member| member.id);
        Scenario { members, partitioning: Partitioning::new(128).expect("a power of two"), replicas: 3 }
    })
}
