use super::OwnerSet;
use super::exchange::{Exchange, Loads, settle};
use super::quota::Quota;
use super::table::Table;
use super::topology::Topology;

/// Orders the owners so that the first j of every partition, for each j, are balanced and lie in as many zones as they can:
/// they are the owners in a bucket of j replicas. Owners stay at their places where that allows it, and for the sake of zones alone
/// may change them if the owners as such are `unchanged`: a balance that could not be had before is not sought again and again.
pub(super) fn order_owners(
    topology: &Topology,
    quota: &Quota,
    sets: &mut Table<OwnerSet>,
    replicas: usize,
    order: &[usize],
    unchanged: bool,
) {
    let mut prefix_held = Table::filled(topology.members(), 0);
    for place in 0..replicas.saturating_sub(1) {
        let mut held = prefix_held.clone();
        for partition in 0..sets.len() {
            spread_zones(topology, &mut sets[partition], place);
            if let Some(owner) = sets[partition].get(place) {
                held[*owner as usize] += 1;
            }
        }
        if unchanged {
            continue;
        }
        let goal = Quota::new(topology, sets.len(), place + 1, &quota.members, &held).members;
        let mut loads = Loads { held, goal };
        let mut places = Places { topology, sets, place };
        settle(&mut places, &mut loads, order);
        prefix_held = loads.held;
    }
}

/// Owners at one place of the preference lists, which may change places with owners behind them.
struct Places<'a> {
    topology: &'a Topology,
    sets: &'a mut Table<OwnerSet>,
    place: usize,
}

impl Exchange for Places<'_> {
    fn givers(&self, partition: usize, into: &mut Vec<usize>) {
        into.extend(self.sets[partition].get(self.place).map(|owner| *owner as usize));
    }

    fn has_gap(&self, _partition: usize) -> bool {
        false
    }

    fn takers(&self, partition: usize, _giver: Option<usize>, into: &mut Vec<usize>) {
        let set = &self.sets[partition];
        let (front, behind) = set.split_at(self.place.min(set.len()));
        let best = behind.iter().map(|owner| novelty(self.topology, front, *owner)).max();
        let fitting = behind.iter().skip(1).filter(|o| Some(novelty(self.topology, front, **o)) == best);
        into.extend(fitting.map(|owner| *owner as usize));
    }

    fn give(&mut self, partition: usize, _giver: Option<usize>, taker: usize) {
        let set = &mut self.sets[partition];
        if let Some(from) = set.iter().position(|owner| *owner as usize == taker) {
            set.swap(self.place, from);
        }
    }
}

/// Brings an owner that adds most to the spread to `place`, the one that is there if it does.
fn spread_zones(topology: &Topology, set: &mut OwnerSet, place: usize) {
    let (front, behind) = set.split_at(place.min(set.len()));
    let best = behind.iter().map(|owner| novelty(topology, front, *owner)).max();
    if let Some(from) = behind.iter().position(|owner| Some(novelty(topology, front, *owner)) == best) {
        set.swap(place, place + from);
    }
}

/// Whether an owner adds a data centre to those in front of it, and whether a zone.
fn novelty(topology: &Topology, front: &[u32], owner: u32) -> (bool, bool) {
    let zone = topology.zone[owner as usize];
    let center = topology.data_center[owner as usize];
    (
        front.iter().all(|other| topology.data_center[*other as usize] != center),
        front.iter().all(|other| topology.zone[*other as usize] != zone),
    )
}
