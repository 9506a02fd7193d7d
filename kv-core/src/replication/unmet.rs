use std::collections::BTreeSet;

use crate::ids::NodeId;
use crate::layout::{Member, Placement, UnmetConstraint};
use crate::replication::PlacementRequest;

/// What `placement` leaves unmet of `request` if its strategy promises `balance`.
///
/// Every strategy can end with it: what it finds is what contract bullets `L-03` and `L-04` ask to be said.
pub fn unmet_constraints(
    request: &PlacementRequest<'_>,
    placement: &Placement,
    balance: f64,
) -> Vec<UnmetConstraint> {
    let members = request.members;
    let replicas = request.replicas;
    let owners = replicas.min(members.len());
    let zones = members.iter().map(Member::failure_domain).collect::<BTreeSet<_>>().len();
    let mut unmet = Vec::new();
    if members.len() < replicas {
        unmet.push(UnmetConstraint::TooFewMembers { replicas, members: members.len() });
    }
    if zones < owners {
        unmet.push(UnmetConstraint::TooFewZones { replicas, zones });
    }
    let place_of = |id: NodeId| members.binary_search_by_key(&id, |member| member.id).ok();
    let mut owned = vec![0usize; members.len()];
    let mut sharing = 0;
    let mut seen = Vec::with_capacity(owners);
    for list in placement.lists() {
        seen.clear();
        for place in list.iter().take(owners).filter_map(|id| place_of(*id)) {
            if let Some(count) = owned.get_mut(place) {
                *count += 1;
            }
            if let Some(domain) = members.get(place).map(Member::failure_domain)
                && !seen.contains(&domain)
            {
                seen.push(domain);
            }
        }
        sharing += usize::from(seen.len() < owners.min(zones));
    }
    if sharing > 0 {
        unmet.push(UnmetConstraint::SharedZone { partitions: sharing });
    }
    let capacity: f64 = members.iter().map(|member| f64::from(member.capacity)).sum();
    let slots = placement.partitions() as f64 * owners as f64;
    for (member, owned) in members.iter().zip(owned) {
        let share = slots * f64::from(member.capacity) / capacity;
        // The last addend forgives what rounding does to numbers that are whole.
        let (least, most) = (share / balance - 1.0 - 1e-6, share * balance + 1.0 + 1e-6);
        if (owned as f64) < least || (owned as f64) > most {
            unmet.push(UnmetConstraint::Unbalanced { node: member.id, owned, share: share.round() as usize });
        }
    }
    unmet
}
