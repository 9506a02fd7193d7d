use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::partitioner::Xxh3Partitioner;
use crate::replication::{BalancedPlacement, HashRing, PlacementAnswer};

fn draft(ids: &[u64]) -> LayoutDraft {
    let members = ids.iter().map(|id| Member::new(NodeId(*id), format!("127.0.0.1:{id}")));
    LayoutDraft {
        cluster: ClusterId(7),
        members: members.collect(),
        partitioning: Partitioning::new(2).unwrap(),
        replicas: 3,
    }
}

fn first(draft: LayoutDraft) -> Result<(Layout, Vec<UnmetConstraint>), Error> {
    Layout::first(draft, &Xxh3Partitioner, &BalancedPlacement)
}

fn layout() -> Layout {
    first(draft(&[3, 1, 2])).unwrap().0
}

fn refused(result: Result<(Layout, Vec<UnmetConstraint>), Error>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidLayout);
    assert!(error.message().contains(words), "{error}");
}

fn tampered(tamper: impl FnOnce(&mut Layout), words: &str) {
    let mut layout = layout();
    tamper(&mut layout);
    let error = layout.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidLayout);
    assert!(error.message().contains(words), "{error}");
}

#[test]
fn members_are_put_in_order_and_the_layout_says_who_made_it() {
    let layout = layout();
    let ids: Vec<u64> = layout.members().iter().map(|member| member.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(
        (layout.version(), layout.partitioner(), layout.strategy(), layout.replicas()),
        (1, "xxh3", "balanced", 3)
    );
    assert_eq!(layout.member(NodeId(2)).unwrap().address, "127.0.0.1:2");
    assert_eq!(layout.member(NodeId(4)), None);
}

#[test]
fn an_id_that_is_used_twice_is_refused() {
    refused(first(draft(&[1, 2, 1])), "twice");
}

#[test]
fn id_0_is_refused() {
    refused(first(draft(&[0, 1])), "id 0");
}

#[test]
fn no_members_and_too_many_are_refused() {
    refused(first(draft(&[])), "1 to 1024");
    refused(first(draft(&(1..=1_025).collect::<Vec<_>>())), "1 to 1024");
}

#[test]
fn a_capacity_of_0_is_refused() {
    let mut draft = draft(&[1, 2]);
    draft.members[1].capacity = 0;
    refused(first(draft), "capacity of node 2");
}

#[test]
fn replicas_are_1_to_16() {
    for replicas in [0, 17, usize::MAX] {
        refused(first(LayoutDraft { replicas, ..draft(&[1]) }), "replicas");
    }
    assert_eq!(first(LayoutDraft { replicas: 16, ..draft(&[1]) }).unwrap().0.replicas(), 16);
}

#[test]
fn a_strategy_that_breaks_its_contract_is_refused() {
    #[derive(Debug)]
    struct NodeTwice;
    impl ReplicationStrategy for NodeTwice {
        fn name(&self) -> String {
            "node_twice".into()
        }
        fn place(&self, request: &PlacementRequest<'_>) -> PlacementAnswer {
            let first = vec![request.members[0].id; request.members.len()];
            let lists = (0..request.partitioning.count()).map(|_| &first[..]);
            PlacementAnswer { placement: Placement::from_lists(lists).unwrap(), unmet: Vec::new() }
        }
        fn balance(&self) -> f64 {
            1.0
        }
        fn movement(&self) -> f64 {
            1.0
        }
    }
    let result = Layout::first(draft(&[1, 2, 3]), &Xxh3Partitioner, &NodeTwice);
    refused(result, "every member once");
}

#[test]
fn what_cannot_be_met_is_said() {
    let (layout, unmet) = first(draft(&[1, 2])).unwrap();
    assert!(unmet.contains(&UnmetConstraint::TooFewMembers { replicas: 3, members: 2 }), "{unmet:?}");
    assert_eq!(layout.owners(Token(0), 3).len(), 2);
}

#[test]
fn keepers_are_1_3_or_5() {
    for (members, keepers) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)] {
        let ids: Vec<u64> = (1..=members).collect();
        let (layout, _) = first(draft(&ids)).unwrap();
        assert_eq!(layout.keepers().len(), keepers, "{members} members");
        layout.check().unwrap();
    }
}

#[test]
fn owners_are_the_beginning_of_the_preference_list() {
    let layout = layout();
    for token in [Token(0), Token(u64::MAX)] {
        let list = layout.placement().preference_list(layout.partitioning().partition(token));
        for replicas in 0..=3 {
            assert_eq!(layout.owners(token, replicas), &list[..replicas]);
        }
        assert_eq!(layout.owners(token, 16), list);
    }
}

#[test]
fn a_tampered_layout_is_refused() {
    layout().check().unwrap();
    tampered(|layout| layout.version = 0, "version");
    tampered(|layout| layout.members[1].id = NodeId(1), "twice");
    tampered(|layout| layout.members.swap(0, 1), "not in order");
    tampered(|layout| layout.members[0].capacity = 0, "capacity");
    tampered(|layout| drop(layout.members.pop()), "does not fit");
    tampered(|layout| layout.partitioning = Partitioning::new(4).unwrap(), "does not fit");
    tampered(|layout| layout.keepers.clear(), "keepers");
    tampered(|layout| layout.keepers[0] = NodeId(9), "keepers");
    tampered(|layout| layout.keepers.truncate(2), "keepers");
    let (one, two, three) = (NodeId(1), NodeId(2), NodeId(3));
    for list in [[one, two, two], [one, two, NodeId(4)]] {
        let lists = [[one, two, three], list];
        let placement = Placement::from_lists(lists.iter().map(|list| &list[..])).unwrap();
        tampered(|layout| layout.placement = placement, "every member once");
    }
}

#[test]
fn keepers_are_distinct_and_replicas_in_range() {
    tampered(|layout| layout.keepers = vec![NodeId(1); 3], "keepers");
    tampered(|layout| layout.replicas = 0, "replicas");
    tampered(|layout| layout.replicas = 17, "replicas");
}

#[test]
fn a_layout_survives_its_encoding() {
    let layout = layout();
    let bytes = postcard::to_stdvec(&layout).unwrap();
    assert_eq!(postcard::from_bytes::<Layout>(&bytes).unwrap(), layout);
    for length in 0..bytes.len() {
        assert!(
            postcard::from_bytes::<Layout>(&bytes[..length]).is_err(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn the_encoding_is_that_of_the_first_release() {
    let mut draft = draft(&[1, 300]);
    draft.members[1].zone = "b".into();
    draft.members[1].data_center = "eu".into();
    let (mut layout, _) = first(draft).unwrap();
    let lists = [[NodeId(1), NodeId(300)], [NodeId(300), NodeId(1)]];
    layout.placement = Placement::from_lists(lists.iter().map(|list| &list[..])).unwrap();
    let bytes = postcard::to_stdvec(&layout).unwrap();
    let golden = [
        // Cluster, version, partitioner, strategy, replicas, partitions.
        &b"\x07\x01\x04xxh3\x08balanced\x03\x02"[..],
        // Members: id, address, zone, data centre, capacity.
        b"\x02\x01\x0b127.0.0.1:1\x00\x00d\xac\x02\r127.0.0.1:300\x01b\x02eud",
        // Placement: width, nodes.
        b"\x02\x04\x01\xac\x02\xac\x02\x01",
        // Keepers.
        b"\x01\x01",
    ];
    assert_eq!(bytes.escape_ascii().to_string(), golden.concat().escape_ascii().to_string());
}

#[test]
fn a_tampered_encoding_with_an_impossible_partitioning_is_refused() {
    let encoded = postcard::to_stdvec(&3u32).unwrap();
    assert!(postcard::from_bytes::<Partitioning>(&encoded).is_err());
}

#[test]
fn a_placement_with_a_hostile_width_has_no_lists() {
    for width in [0u32, u32::MAX] {
        let bytes = postcard::to_stdvec(&(width, vec![NodeId(1), NodeId(2)])).unwrap();
        let placement: Placement = postcard::from_bytes(&bytes).unwrap();
        for partition in [0, 1, u32::MAX] {
            let _ = placement.preference_list(crate::ids::PartitionId(partition));
        }
        let mut layout = layout();
        layout.placement = placement;
        assert!(layout.check().is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_layout_has_each_id_once_or_is_not_made(ids in vec(1..40u64, 1..12)) {
        let distinct: BTreeSet<u64> = ids.iter().copied().collect();
        let made = first(draft(&ids)).map(|(layout, _)| {
            layout.members().iter().map(|member| member.id.0).collect::<Vec<_>>()
        });
        if distinct.len() == ids.len() {
            prop_assert_eq!(made.unwrap(), Vec::from_iter(distinct));
        } else {
            prop_assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidLayout);
        }
    }

    #[test]
    fn the_owners_of_a_key_are_distinct_members_and_too_few_are_said(
        ids in btree_set(1..=u64::MAX, 1..12),
        replicas in 1..=16usize,
        token: u64,
    ) {
        let ids = Vec::from_iter(ids);
        for strategy in [&BalancedPlacement as &dyn ReplicationStrategy, &HashRing::default()] {
            let draft = LayoutDraft { replicas, ..draft(&ids) };
            let (layout, unmet) = Layout::first(draft, &Xxh3Partitioner, strategy).unwrap();
            let owners: BTreeSet<u64> = layout.owners(Token(token), replicas).iter().map(|owner| owner.0).collect();
            prop_assert_eq!(owners.len(), replicas.min(ids.len()), "{}", strategy.name());
            prop_assert!(owners.iter().all(|owner| ids.contains(owner)));
            let too_few = UnmetConstraint::TooFewMembers { replicas, members: ids.len() };
            prop_assert_eq!(unmet.contains(&too_few), ids.len() < replicas);
        }
    }
}
