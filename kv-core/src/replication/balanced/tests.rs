use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::layout::{Member, Partitioning};

fn member() -> impl Strategy<Value = (u8, u8, u32)> {
    (0..4u8, 0..4u8, prop_oneof![Just(100), 1..=100u32, 1..=u32::MAX])
}

fn members(parts: &[(u8, u8, u32)], first_id: u64) -> Vec<Member> {
    let member = |(index, (data_center, zone, capacity)): (usize, &(u8, u8, u32))| {
        let mut member = Member::new(NodeId(first_id + 3 * index as u64), "127.0.0.1:7380");
        // Zone 0 is none; few clusters have more than one data centre.
        member.data_center = if *data_center == 0 { "far".into() } else { String::new() };
        member.zone = if *zone == 0 { String::new() } else { format!("z{zone}") };
        member.capacity = *capacity;
        member
    };
    parts.iter().enumerate().map(member).collect()
}

fn request(members: &[Member], bits: u32, replicas: usize) -> PlacementRequest<'_> {
    let partitioning = Partitioning::new(1 << bits).unwrap();
    PlacementRequest { members, partitioning, replicas, previous: None }
}

fn loads(members: &[Member], placement: &Placement, owners: usize) -> Vec<usize> {
    let owns = |list: &&[NodeId], id: NodeId| list.iter().take(owners).any(|owner| *owner == id);
    members.iter().map(|member| placement.lists().filter(|list| owns(list, member.id)).count()).collect()
}

fn quotas(request: &PlacementRequest<'_>, before: &[usize]) -> Vec<usize> {
    let topology = Topology::new(request.members);
    let partitions = request.partitioning.count() as usize;
    let most = Table::filled(request.members.len(), partitions);
    let replicas = request.replicas.min(request.members.len());
    let before = before.iter().copied().collect();
    Quota::new(&topology, partitions, replicas, &most, &before).members.iter().copied().collect()
}

/// Owners of all partitions that were not owners of the same tokens before.
fn moved(before: &Placement, after: &Placement, owners: usize) -> usize {
    let before: Vec<&[NodeId]> = before.lists().collect();
    let lists = after.lists().enumerate();
    let news = lists.map(|(partition, list)| {
        let old = before[partition * before.len() / after.partitions()];
        list.iter().take(owners).filter(|owner| !old.iter().take(owners).any(|o| o == *owner)).count()
    });
    news.sum()
}

fn check_spread(request: &PlacementRequest<'_>, placement: &Placement) -> Result<(), TestCaseError> {
    let members = request.members;
    let zones = members.iter().map(Member::failure_domain).collect::<BTreeSet<_>>().len();
    let centers = members.iter().map(|m| &m.data_center).collect::<BTreeSet<_>>().len();
    for list in placement.lists() {
        for owners in 1..=request.replicas.min(members.len()) {
            let owners_here = list.iter().take(owners);
            let here: Vec<&Member> =
                owners_here.map(|id| members.iter().find(|member| member.id == *id).unwrap()).collect();
            let zones_here = here.iter().map(|m| m.failure_domain()).collect::<BTreeSet<_>>().len();
            let centers_here = here.iter().map(|m| &m.data_center).collect::<BTreeSet<_>>().len();
            prop_assert_eq!(zones_here, owners.min(zones), "zones of the first {} of {:?}", owners, list);
            prop_assert_eq!(centers_here, owners.min(centers), "data centres of {:?}", list);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn quotas_are_met_exactly_and_every_prefix_is_spread(
        parts in vec(member(), 1..24),
        bits in 0..9u32,
        replicas in 1..7usize,
    ) {
        let members = members(&parts, 1);
        let request = request(&members, bits, replicas);
        let answer = BalancedPlacement.place(&request);
        check_spread(&request, &answer.placement)?;
        let owners = replicas.min(members.len());
        let none = vec![0; members.len()];
        prop_assert_eq!(loads(&members, &answer.placement, owners), quotas(&request, &none));
    }

    #[test]
    fn a_change_of_members_meets_the_quotas_and_moves_what_it_must(
        parts in vec(member(), 2..24),
        bits in 5..9u32,
        replicas in 1..6usize,
        leaves in any::<prop::sample::Index>(),
        joins in prop::option::of(member()),
    ) {
        let first_members = members(&parts, 1);
        let first = BalancedPlacement.place(&request(&first_members, bits, replicas)).placement;
        let mut next_members = first_members.clone();
        next_members.remove(leaves.index(first_members.len()));
        next_members.extend(joins.iter().flat_map(|joins| members(&[*joins], 1_000)));
        prop_assume!(!next_members.is_empty());
        let next_request = PlacementRequest { previous: Some(&first), ..request(&next_members, bits, replicas) };
        let next = BalancedPlacement.place(&next_request).placement;
        check_spread(&next_request, &next)?;
        let owners = replicas.min(next_members.len());
        let before = loads(&next_members, &first, owners);
        let after = loads(&next_members, &next, owners);
        prop_assert_eq!(&after, &quotas(&next_request, &before));
        let must: usize = before.iter().zip(&after).map(|(before, after)| after.saturating_sub(*before)).sum();
        let moved = moved(&first, &next, owners);
        prop_assert!(moved as f64 <= must as f64 * BalancedPlacement.movement(), "{} moved, {} must", moved, must);
    }

    #[test]
    fn no_member_gains_by_rounding_what_another_loses_by_it(
        capacities in vec(50..100u32, 8..24),
        joins in 1..20u32,
    ) {
        let parts: Vec<(u8, u8, u32)> = capacities.iter().map(|capacity| (1, 0, *capacity)).collect();
        let old_members = members(&parts, 1);
        let mut all_members = old_members.clone();
        all_members.extend(members(&[(1, 0, joins)], 1_000));
        let first = BalancedPlacement.place(&request(&old_members, 8, 3)).placement;
        let next = PlacementRequest { previous: Some(&first), ..request(&all_members, 8, 3) };
        let next = BalancedPlacement.place(&next).placement;
        let (before, after) = (loads(&old_members, &first, 3), loads(&old_members, &next, 3));
        let sum: u32 = capacities.iter().sum::<u32>() + joins;
        let share = |capacity: u32| 768.0 * f64::from(capacity) / f64::from(sum);
        let loads = || capacities.iter().zip(before.iter().zip(&after));
        let gains = loads().any(|(c, (before, after))| after > before && *after as f64 > share(*c));
        let loses = loads().any(|(c, (before, after))| after < before && (*after as f64) < share(*c));
        prop_assert!(!(gains && loses), "before {:?}, after {:?}", before, after);
    }

    #[test]
    fn nothing_moves_without_a_change(parts in vec(member(), 1..24), bits in 0..9u32, replicas in 1..6usize) {
        let members = members(&parts, 1);
        let request = request(&members, bits, replicas);
        let first = BalancedPlacement.place(&request).placement;
        let again = PlacementRequest { previous: Some(&first), ..request };
        prop_assert_eq!(BalancedPlacement.place(&again).placement, first);
    }

    #[test]
    fn nothing_moves_when_partitions_are_split_in_two(
        parts in vec(member(), 1..24),
        bits in 0..8u32,
        replicas in 1..6usize,
    ) {
        let members = members(&parts, 1);
        let first = BalancedPlacement.place(&request(&members, bits, replicas)).placement;
        let split = PlacementRequest { previous: Some(&first), ..request(&members, bits + 1, replicas) };
        let next = BalancedPlacement.place(&split).placement;
        // Twice the partitions can be nearer to the shares by one for each member.
        prop_assert!(moved(&first, &next, replicas) <= 2 * members.len());
    }
}

#[test]
fn with_equal_members_every_prefix_is_balanced() {
    for (count, replicas) in [(5, 3), (12, 3), (64, 3), (10, 5)] {
        let members = members(&vec![(1, 0, 100); count], 1);
        let placement = BalancedPlacement.place(&request(&members, 10, replicas)).placement;
        for prefix in 1..=replicas {
            let loads = loads(&members, &placement, prefix);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most - least <= 1, "{count} members, first {prefix}: {least} to {most}");
        }
    }
}

#[test]
fn the_load_of_a_dead_member_is_shared_by_many() {
    let members = members(&[(1, 0, 100); 20], 1);
    let placement = BalancedPlacement.place(&request(&members, 10, 3)).placement;
    for dead in &members {
        let stand_ins = placement.lists().filter(|list| list[..3].contains(&dead.id)).map(|list| list[3]);
        let mut counts = std::collections::BTreeMap::new();
        stand_ins.for_each(|node| *counts.entry(node).or_insert(0usize) += 1);
        // 154 partitions on 19 others.
        assert!(counts.len() >= 17 && counts.values().all(|count| *count <= 25), "{counts:?}");
    }
}

#[test]
fn stand_ins_come_from_other_zones_first() {
    let members = members(&[1, 2, 3, 1, 2, 3, 1, 2, 3, 1].map(|zone| (1, zone, 100)), 1);
    let zone = |id: &NodeId| members.iter().find(|member| member.id == *id).unwrap().zone.clone();
    let placement = BalancedPlacement.place(&request(&members, 8, 2)).placement;
    for list in placement.lists() {
        let first_three: BTreeSet<String> = list[..3].iter().map(zone).collect();
        assert_eq!(first_three.len(), 3, "{list:?}");
    }
}

#[test]
fn the_placement_is_that_of_the_first_release() {
    let members = members(&[(1, 1, 100), (1, 1, 50), (1, 2, 100), (1, 2, 100), (1, 3, 70)], 1);
    let placement = BalancedPlacement.place(&request(&members, 3, 3)).placement;
    let lists: Vec<Vec<u64>> = placement.lists().map(|list| list.iter().map(|id| id.0).collect()).collect();
    assert_eq!(
        lists,
        [
            [4, 10, 13, 1, 7],
            [13, 7, 1, 10, 4],
            [7, 1, 13, 10, 4],
            [7, 4, 13, 1, 10],
            [10, 13, 4, 1, 7],
            [10, 1, 13, 4, 7],
            [13, 1, 10, 4, 7],
            [1, 7, 13, 10, 4],
        ]
    );
}
