use std::sync::atomic::{AtomicUsize, Ordering};

use super::check;
use crate::ids::NodeId;
use crate::layout::{Member, Placement, UnmetConstraint};
use crate::replication::{
    BalancedPlacement, HashRing, PlacementAnswer, PlacementRequest, ReplicationStrategy, unmet_constraints,
};
use crate::testing::report::Report;

#[test]
fn built_in_strategies_pass() {
    check(&|| Box::new(BalancedPlacement)).assert_passed();
    check(&|| Box::<HashRing>::default()).assert_passed();
}

/// A strategy made of a closure, which promises what balanced placement does.
struct Mutant<F>(F);

impl<F> std::fmt::Debug for Mutant<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutant")
    }
}

impl<F> ReplicationStrategy for Mutant<F>
where
    F: Fn(&PlacementRequest<'_>) -> PlacementAnswer + Send + Sync + 'static,
{
    fn name(&self) -> String {
        "mutant".into()
    }

    fn place(&self, request: &PlacementRequest<'_>) -> PlacementAnswer {
        (self.0)(request)
    }

    fn balance(&self) -> f64 {
        BalancedPlacement.balance()
    }

    fn movement(&self) -> f64 {
        BalancedPlacement.movement()
    }
}

fn check_mutant(
    place: impl Fn(&PlacementRequest<'_>) -> PlacementAnswer + Send + Sync + Copy + 'static,
) -> Report {
    check(&move || Box::new(Mutant(place)))
}

fn sound(request: &PlacementRequest<'_>) -> PlacementAnswer {
    BalancedPlacement.place(request)
}

/// The answer with its lists changed and what is unmet told anew.
fn changed(
    request: &PlacementRequest<'_>,
    answer: &PlacementAnswer,
    change: impl Fn(usize, &mut Vec<NodeId>),
) -> PlacementAnswer {
    let mut lists: Vec<Vec<NodeId>> = answer.placement.lists().map(<[NodeId]>::to_vec).collect();
    for (partition, list) in lists.iter_mut().enumerate() {
        change(partition, list);
    }
    let placement = Placement::from_lists(lists.iter().map(Vec::as_slice)).unwrap();
    let unmet = unmet_constraints(request, &placement, BalancedPlacement.balance());
    PlacementAnswer { placement, unmet }
}

/// The answer for members that were changed, with what is unmet told for the true ones.
fn blind_to(request: &PlacementRequest<'_>, forget: impl Fn(&mut Member)) -> PlacementAnswer {
    let mut members = request.members.to_vec();
    members.iter_mut().for_each(forget);
    let answer = sound(&PlacementRequest { members: &members, ..*request });
    changed(request, &answer, |_, _| {})
}

#[test]
fn the_unchanged_mutant_passes() {
    check_mutant(sound).assert_passed();
}

#[test]
fn a_node_twice_in_a_list_breaks_l_01() {
    let report = check_mutant(|request| {
        changed(request, &sound(request), |partition, list| {
            if partition == 77 && list.len() > 1 {
                list[1] = list[0];
            }
        })
    });
    assert!(report.failed_ids().contains(&"L-01"), "{report}");
}

#[test]
fn a_stand_in_left_out_breaks_l_01() {
    let report = check_mutant(|request| {
        changed(request, &sound(request), |_, list| list.truncate(request.replicas.max(2)))
    });
    assert!(report.failed_ids().contains(&"L-01"), "{report}");
}

#[test]
fn a_node_that_has_gone_in_a_list_breaks_l_01() {
    let report = check_mutant(|request| match request.previous {
        Some(previous) if previous.width() == request.members.len() + 1 => {
            changed(request, &sound(request), |partition, list| {
                *list = previous.lists().nth(partition).unwrap()[..list.len()].to_vec();
            })
        }
        _ => sound(request),
    });
    assert!(report.failed_ids().contains(&"L-01"), "{report}");
}

#[test]
fn an_answer_that_depends_on_earlier_calls_breaks_l_02() {
    let report = check(&|| {
        let calls = AtomicUsize::new(0);
        Box::new(Mutant(move |request: &PlacementRequest<'_>| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            // Only stand-ins, so that nothing else is broken.
            changed(request, &sound(request), |_, list| {
                let owners = request.replicas.min(list.len());
                let stand_ins = list.len() - owners;
                list[owners..].rotate_left(call % stand_ins.max(1));
            })
        }))
    });
    assert_eq!(report.failed_ids(), ["L-02"], "{report}");
}

#[test]
fn an_answer_that_depends_on_the_process_breaks_l_02() {
    let processes = AtomicUsize::new(0);
    let report = check(&|| {
        let process = processes.fetch_add(1, Ordering::Relaxed);
        Box::new(Mutant(move |request: &PlacementRequest<'_>| {
            changed(request, &sound(request), |_, list| {
                let owners = request.replicas.min(list.len());
                let stand_ins = list.len() - owners;
                list[owners..].rotate_left(process % stand_ins.max(1));
            })
        }))
    });
    assert_eq!(report.failed_ids(), ["L-02"], "{report}");
}

#[test]
fn ignoring_zones_breaks_l_03() {
    let report = check_mutant(|request| blind_to(request, |member| member.zone.clear()));
    assert!(report.failed_ids().contains(&"L-03"), "{report}");
}

#[test]
fn taking_zones_of_one_name_in_two_data_centers_for_one_breaks_l_03() {
    let report = check_mutant(|request| blind_to(request, |member| member.data_center.clear()));
    assert!(report.failed_ids().contains(&"L-03"), "{report}");
}

#[test]
fn hiding_constraints_breaks_l_03_and_l_04() {
    let report = check_mutant(|request| PlacementAnswer { unmet: Vec::new(), ..sound(request) });
    assert_eq!(report.failed_ids(), ["L-03", "L-04"], "{report}");
}

#[test]
fn ignoring_capacity_breaks_l_04_even_if_it_is_said() {
    let report = check_mutant(|request| blind_to(request, |member| member.capacity = 100));
    assert_eq!(report.failed_ids(), ["L-04"], "{report}");
}

#[test]
fn naming_members_that_are_balanced_breaks_l_04() {
    let report = check_mutant(|request| {
        let mut answer = sound(request);
        let named = request.members.iter().map(|member| UnmetConstraint::Unbalanced {
            node: member.id,
            owned: answer.placement.lists().filter(|list| list[0] == member.id).count(),
            share: 1,
        });
        answer.unmet.extend(named);
        answer
    });
    assert!(report.failed_ids().contains(&"L-04"), "{report}");
}

#[test]
fn forgetting_the_previous_placement_breaks_l_05() {
    let report = check_mutant(|request| sound(&PlacementRequest { previous: None, ..*request }));
    assert_eq!(report.failed_ids(), ["L-05"], "{report}");
}

#[test]
fn dealing_members_out_by_number_breaks_l_05() {
    let report = check_mutant(|request| {
        changed(request, &sound(request), |partition, list| {
            list.clear();
            list.extend(request.members.iter().map(|member| member.id));
            let members = list.len();
            list.rotate_left(partition % members);
        })
    });
    assert!(report.failed_ids().contains(&"L-05"), "{report}");
}

#[test]
fn a_limit_of_50_members_breaks_l_06() {
    let report = check_mutant(|request| {
        assert!(request.members.len() <= 50, "too many members");
        sound(request)
    });
    assert_eq!(report.failed_ids(), ["L-06"], "{report}");
}
