use super::exchange::{Exchange, Loads, settle};
use super::quota::Quota;
use super::table::Table;
use super::topology::Topology;
use super::{NOBODY, OwnerSet};

/// The owners of each partition, each at the place that it had before; a place without an owner holds [`NOBODY`].
pub(super) struct Owners<'a> {
    topology: &'a Topology,
    bounds: Bounds,
    replicas: usize,
    pub(super) sets: Table<OwnerSet>,
}

/// How many replicas of one partition each zone and each data centre may and must hold.
struct Bounds {
    zone_least: Table<usize>,
    zone_most: Table<usize>,
    center_least: Table<usize>,
    center_most: Table<usize>,
    /// What the zones of each data centre must hold together.
    center_base: Table<usize>,
    /// What all data centres must hold together.
    base: usize,
}

impl Bounds {
    fn new(topology: &Topology, quota: &Quota, partitions: usize) -> Self {
        let floor = |slots: &usize| slots / partitions;
        let ceiling = |slots: &usize| slots.div_ceil(partitions);
        let zone_least: Table<usize> = quota.zones.iter().map(floor).collect();
        let center_least: Table<usize> = quota.data_centers.iter().map(floor).collect();
        let center_base: Table<usize> = topology
            .data_center_zones
            .iter()
            .map(|zones| zones.iter().map(|zone| zone_least[*zone]).sum())
            .collect();
        Bounds {
            zone_most: quota.zones.iter().map(ceiling).collect(),
            center_most: quota.data_centers.iter().map(ceiling).collect(),
            base: center_base.iter().zip(center_least.iter()).map(|(base, least)| *base.max(least)).sum(),
            zone_least,
            center_least,
            center_base,
        }
    }
}

impl<'a> Owners<'a> {
    /// Keeps of `previous` what the quotas' bounds allow in each partition and fills the rest so that the quotas are met.
    pub(super) fn keep(
        topology: &'a Topology,
        quota: &Quota,
        previous: &Table<OwnerSet>,
        replicas: usize,
        order: &[usize],
    ) -> Table<OwnerSet> {
        let bounds = Bounds::new(topology, quota, previous.len());
        let mut owners = Owners { topology, bounds, replicas, sets: Table::filled(0, OwnerSet::new()) };
        let mut held = Table::filled(topology.members(), 0);
        let mut kept = Vec::new();
        let sets = previous.iter().map(|before| {
            let mut set = OwnerSet::from_elem(NOBODY, replicas);
            kept.clear();
            for (place, &member) in set.iter_mut().zip(before) {
                if member != NOBODY && owners.can_be_completed(kept.iter().copied().chain([member])) {
                    kept.push(member);
                    *place = member;
                    held[member as usize] += 1;
                }
            }
            set
        });
        let sets = sets.collect();
        owners.sets = sets;
        let mut loads = Loads { held, goal: quota.members.clone() };
        settle(&mut owners, &mut loads, order);
        owners.fill_gaps();
        owners.sets
    }

    /// Whether some way to add owners to these keeps to the bounds.
    fn can_be_completed(&self, owners: impl Iterator<Item = u32> + Clone) -> bool {
        let bounds = &self.bounds;
        let zone = |member: u32| self.topology.zone[member as usize];
        let center = |member: u32| self.topology.data_center[member as usize];
        let mut needed = bounds.base;
        for (index, member) in owners.clone().enumerate() {
            let zone_here = zone(member);
            if owners.clone().filter(|other| zone(*other) == zone_here).count() > bounds.zone_most[zone_here]
            {
                return false;
            }
            let center_here = center(member);
            if owners.clone().take(index).any(|other| center(other) == center_here) {
                continue;
            }
            // Owners above what their zone must hold come on top of what the zones of the data centre must hold.
            let mut in_center = bounds.center_base[center_here];
            for (index, other) in owners.clone().enumerate().filter(|(_, o)| center(*o) == center_here) {
                let zone_other = zone(other);
                let earlier = owners.clone().take(index).filter(|o| zone(*o) == zone_other).count();
                in_center += usize::from(earlier >= bounds.zone_least[zone_other]);
            }
            if in_center > bounds.center_most[center_here] {
                return false;
            }
            let least = bounds.center_least[center_here];
            needed += in_center.max(least) - bounds.center_base[center_here].max(least);
        }
        needed <= self.replicas
    }

    /// Fills what could not be filled within the bounds, further zones first; [`super::unmet_constraints`] will tell.
    fn fill_gaps(&mut self) {
        for partition in 0..self.sets.len() {
            while self.has_gap(partition) {
                let set = &self.sets[partition];
                let zone = |member: u32| self.topology.zone[member as usize];
                let shares = |member: u32| set.iter().any(|o| *o != NOBODY && zone(*o) == zone(member));
                let outside = (0..self.topology.members() as u32).filter(|member| !set.contains(member));
                let Some(taker) = outside.min_by_key(|member| (shares(*member), *member)) else { break };
                self.give(partition, None, taker as usize);
            }
        }
    }
}

impl Exchange for Owners<'_> {
    fn givers(&self, partition: usize, into: &mut Vec<usize>) {
        into.extend(self.sets[partition].iter().filter(|o| **o != NOBODY).map(|o| *o as usize));
    }

    fn has_gap(&self, partition: usize) -> bool {
        self.sets[partition].contains(&NOBODY)
    }

    fn takers(&self, partition: usize, giver: Option<usize>, into: &mut Vec<usize>) {
        let set = &self.sets[partition];
        let rest: OwnerSet =
            set.iter().copied().filter(|o| *o != NOBODY && Some(*o as usize) != giver).collect();
        for zone in self.topology.zone_members.iter() {
            let mut outside = zone.iter().filter(|member| !set.contains(&(**member as u32))).peekable();
            // Members of one zone are alike, so the first of them answers for all.
            if let Some(first) = outside.peek()
                && self.can_be_completed(rest.iter().copied().chain([**first as u32]))
            {
                into.extend(outside);
            }
        }
    }

    fn give(&mut self, partition: usize, giver: Option<usize>, taker: usize) {
        let leaving = giver.map_or(NOBODY, |giver| giver as u32);
        if let Some(place) = self.sets[partition].iter_mut().find(|place| **place == leaving) {
            *place = taker as u32;
        }
    }
}
