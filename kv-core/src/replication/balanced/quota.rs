use super::table::Table;
use super::topology::Topology;

/// A slot is cut into this many parts, so that shares can be computed in whole numbers, the same on every platform.
const PARTS: u128 = 1 << 40;

/// How many owner slots each member, zone and data centre gets.
///
/// Shares are in proportion to capacity within what the constraints allow: a member holds a partition once; as many zones, and
/// as many data centres, as there can be hold a replica of every partition. Any such quotas can be met exactly: lay the slots of the
/// members of each zone and the zones of each data centre side by side and wrap them round the partitions (McNaughton 1959). So
/// each zone and data centre can hold the floor or the ceiling of its mean number of replicas of each partition.
pub(super) struct Quota {
    pub(super) members: Table<usize>,
    pub(super) zones: Table<usize>,
    pub(super) data_centers: Table<usize>,
}

/// One child among which a parent's slots are shared.
#[derive(Clone, Copy)]
struct Part {
    weight: u64,
    least: usize,
    most: usize,
    /// What it held before: a share that is not whole is rounded so that less moves.
    before: usize,
}

impl Quota {
    /// Shares `partitions * replicas` slots, at most `most` for each member.
    pub(super) fn new(
        topology: &Topology,
        partitions: usize,
        replicas: usize,
        most: &Table<usize>,
        before: &Table<usize>,
    ) -> Self {
        let member_part = |member: usize| Part {
            weight: topology.capacity[member],
            least: 0,
            most: most[member],
            before: before[member],
        };
        let within = |parts: &[Part], groups: usize| {
            let sum = parts.iter().fold(Part { weight: 0, least: 0, most: 0, before: 0 }, |sum, part| Part {
                weight: sum.weight + part.weight,
                least: sum.least + part.least,
                most: sum.most + part.most,
                before: sum.before + part.before,
            });
            if groups >= replicas {
                Part { most: sum.most.min(partitions), ..sum }
            } else {
                Part { least: sum.least.max(partitions).min(sum.most), ..sum }
            }
        };
        let parts_of = |zone: usize| -> Vec<Part> {
            topology.zone_members[zone].iter().map(|member| member_part(*member)).collect()
        };
        let zone_parts: Table<Part> =
            (0..topology.zones()).map(|zone| within(&parts_of(zone), topology.zones())).collect();
        let zones_of = |data_center: usize| -> Vec<Part> {
            topology.data_center_zones[data_center].iter().map(|zone| zone_parts[*zone]).collect()
        };
        let center_parts: Vec<Part> = (0..topology.data_centers())
            .map(|data_center| within(&zones_of(data_center), topology.data_centers()))
            .collect();

        let slots = partitions * replicas;
        let mut quota = Quota {
            members: Table::filled(topology.members(), 0),
            zones: Table::filled(topology.zones(), 0),
            data_centers: Table::filled(topology.data_centers(), 0),
        };
        let center_shares = share(slots as u128 * PARTS, &center_parts);
        let center_slots = round(slots, &center_shares, &center_parts);
        for (data_center, (center_share, slots)) in center_shares.iter().zip(center_slots).enumerate() {
            quota.data_centers[data_center] = slots;
            let parts = zones_of(data_center);
            let zone_shares = share(*center_share, &parts);
            let zone_slots = round(slots, &zone_shares, &parts);
            let zones = topology.data_center_zones[data_center].iter();
            for (zone, (zone_share, slots)) in zones.zip(zone_shares.iter().zip(zone_slots)) {
                quota.zones[*zone] = slots;
                let parts = parts_of(*zone);
                let shares = share(*zone_share, &parts);
                let member_slots = round(slots, &shares, &parts);
                for (member, slots) in topology.zone_members[*zone].iter().zip(member_slots) {
                    quota.members[*member] = slots;
                }
            }
        }
        quota
    }
}

/// Shares `amount` by weight within the bounds: what one child may not take, or has to, goes to or comes from the others.
fn share(amount: u128, parts: &[Part]) -> Vec<u128> {
    let mut fixed: Vec<Option<u128>> = vec![None; parts.len()];
    loop {
        let rest = amount.saturating_sub(fixed.iter().flatten().sum());
        let weight: u128 = parts
            .iter()
            .zip(&fixed)
            .filter(|(_, fixed)| fixed.is_none())
            .map(|(p, _)| u128::from(p.weight))
            .sum();
        if weight == 0 {
            break;
        }
        let ideal = |part: &Part| rest * u128::from(part.weight) / weight;
        let (mut above, mut below) = (0, 0);
        for (part, _) in parts.iter().zip(&fixed).filter(|(_, fixed)| fixed.is_none()) {
            above += ideal(part).saturating_sub(part.most as u128 * PARTS);
            below += (part.least as u128 * PARTS).saturating_sub(ideal(part));
        }
        if above == 0 && below == 0 {
            let mut left = rest;
            for (part, fixed) in parts.iter().zip(&mut fixed).filter(|(_, fixed)| fixed.is_none()) {
                *fixed = Some(ideal(part));
                left -= ideal(part);
            }
            // Division left fewer parts over than there are children.
            for (fixed, part) in fixed.iter_mut().zip(parts) {
                if let Some(fixed) = fixed
                    && left > 0
                    && *fixed < part.most as u128 * PARTS
                    && *fixed > part.least as u128 * PARTS
                {
                    *fixed += 1;
                    left -= 1;
                }
            }
            break;
        }
        // Fix the side that is further out; the other may come back inside (as in the flexible lengths of CSS).
        for (part, fixed) in parts.iter().zip(&mut fixed).filter(|(_, fixed)| fixed.is_none()) {
            let (least, most) = (part.least as u128 * PARTS, part.most as u128 * PARTS);
            if above >= below && ideal(part) > most {
                *fixed = Some(most);
            } else if above < below && ideal(part) < least {
                *fixed = Some(least);
            }
        }
    }
    fixed.into_iter().map(Option::unwrap_or_default).collect()
}

/// Rounds shares down or up so that they sum to `slots`, first up where that is what the child held before.
fn round(slots: usize, shares: &[u128], parts: &[Part]) -> Vec<usize> {
    let mut rounded: Vec<usize> = shares.iter().map(|share| (share / PARTS) as usize).collect();
    let mut order: Vec<(bool, u128, usize)> = Vec::new();
    for (index, (share, part)) in shares.iter().zip(parts).enumerate() {
        let fraction = share % PARTS;
        if fraction > 0 {
            order.push((part.before <= (share / PARTS) as usize, PARTS - fraction, index));
        }
    }
    order.sort_unstable();
    let missing = slots.saturating_sub(rounded.iter().sum());
    for (_, _, index) in order.into_iter().take(missing) {
        if let Some(slots) = rounded.get_mut(index) {
            *slots += 1;
        }
    }
    rounded
}
