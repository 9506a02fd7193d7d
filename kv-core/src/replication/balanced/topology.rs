use std::collections::BTreeMap;

use super::table::Table;
use crate::layout::{FailureDomain, Member};

/// The tree of data centres, zones and members of one request, each numbered from 0.
pub(super) struct Topology {
    pub(super) capacity: Table<u64>,
    pub(super) zone: Table<usize>,
    pub(super) data_center: Table<usize>,
    pub(super) zone_members: Table<Vec<usize>>,
    pub(super) data_center_zones: Table<Vec<usize>>,
}

impl Topology {
    pub(super) fn new(members: &[Member]) -> Self {
        let mut zones: BTreeMap<(&str, FailureDomain<'_>), Vec<usize>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            zones.entry((member.data_center.as_str(), member.failure_domain())).or_default().push(index);
        }
        let mut zone = Table::filled(members.len(), 0);
        let mut data_center = Table::filled(members.len(), 0);
        let mut data_centers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, (name, _)) in zones.keys().enumerate() {
            data_centers.entry(name).or_default().push(number);
        }
        for (number, zones_here) in data_centers.values().enumerate() {
            for (zone_number, inside) in zones.values().enumerate().filter(|(z, _)| zones_here.contains(z)) {
                for member in inside {
                    zone[*member] = zone_number;
                    data_center[*member] = number;
                }
            }
        }
        Topology {
            capacity: members.iter().map(|member| u64::from(member.capacity)).collect(),
            zone,
            data_center,
            zone_members: zones.into_values().collect(),
            data_center_zones: data_centers.into_values().collect(),
        }
    }

    pub(super) fn members(&self) -> usize {
        self.capacity.len()
    }

    pub(super) fn zones(&self) -> usize {
        self.zone_members.len()
    }

    pub(super) fn data_centers(&self) -> usize {
        self.data_center_zones.len()
    }
}
