use std::collections::BTreeSet;

use super::*;
use crate::layout::Partitioning;

fn members(count: u64, zone: impl Fn(u64) -> (String, String)) -> Vec<Member> {
    let member = |id: u64| {
        let (data_center, zone) = zone(id);
        Member { data_center, zone, ..Member::new(NodeId(id), "127.0.0.1:7380") }
    };
    (1..=count).map(member).collect()
}

fn place(members: &[Member], replicas: usize) -> PlacementAnswer {
    let partitioning = Partitioning::new(256).unwrap();
    HashRing::default().place(&PlacementRequest { members, partitioning, replicas, previous: None })
}

#[test]
fn virtual_nodes_are_in_proportion_to_capacity_and_bounded() {
    let mut members = members(3, |_| Default::default());
    members[1].capacity = 50;
    members[2].capacity = 1;
    let count = |members: &[Member], place: usize| {
        HashRing::default().positions(members).iter().filter(|position| position.1 == place).count()
    };
    assert_eq!([0, 1, 2].map(|place| count(&members, place)), [256, 128, 2]);
    members.iter_mut().for_each(|member| member.capacity = u32::MAX);
    members[2].capacity = u32::MAX / 4;
    let counts = [0, 1, 2].map(|place| count(&members, place));
    assert!(counts.iter().sum::<usize>() <= VIRTUAL_NODES_MAX as usize, "{counts:?}");
    assert!(counts[2] * 4 <= counts[0] && counts[0] < counts[2] * 4 + 8, "{counts:?}");
}

#[test]
fn without_zones_a_list_is_the_walk_clockwise() {
    let members = members(6, |_| Default::default());
    let answer = place(&members, 3);
    let ring = HashRing::default().positions(&members);
    for (partition, list) in answer.placement.lists().enumerate() {
        let token = (partition as u64) << 56;
        let mut walk: Vec<NodeId> = Vec::new();
        let (before, after): (Vec<_>, Vec<_>) = ring.iter().partition(|(position, _)| *position < token);
        for (_, place) in after.into_iter().chain(before) {
            if !walk.contains(&members[place].id) {
                walk.push(members[place].id);
            }
        }
        assert_eq!(list, walk, "partition {partition}");
    }
}

#[test]
fn owners_take_data_centers_then_zones() {
    let members = members(12, |id| (format!("dc{}", id % 2), format!("z{}", id / 2 % 3)));
    let answer = place(&members, 4);
    assert_eq!(answer.unmet, []);
    for list in answer.placement.lists() {
        let owners =
            |count| list.iter().take(count).map(|id| members.iter().find(|member| member.id == *id).unwrap());
        let centers: BTreeSet<_> = owners(2).map(|member| &member.data_center).collect();
        let zones: BTreeSet<_> = owners(4).map(Member::failure_domain).collect();
        assert_eq!((centers.len(), zones.len()), (2, 4), "{list:?}");
    }
}

#[test]
fn a_member_that_leaves_does_not_move_the_owners_of_others() {
    let all = members(8, |_| Default::default());
    let before = place(&all, 3).placement;
    let less: Vec<Member> = all.iter().filter(|member| member.id != NodeId(5)).cloned().collect();
    for (before, after) in before.lists().zip(place(&less, 3).placement.lists()) {
        let expected: Vec<NodeId> = before.iter().copied().filter(|id| *id != NodeId(5)).collect();
        assert_eq!(after, expected);
    }
}

#[test]
fn positions_are_those_of_the_first_release() {
    let positions = [position(NodeId(1), 0), position(NodeId(1), 1), position(NodeId(u64::MAX), 0)];
    assert_eq!(positions, [2_806_482_627_441_532_945, 7_829_500_774_778_939_558, 2_930_962_154_396_670_229]);
}
