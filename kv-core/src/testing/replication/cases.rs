use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::scenario::{Scenario, extremes, scenarios};
use crate::ids::NodeId;
use crate::layout::{FailureDomain, Placement, UnmetConstraint};
use crate::replication::{PlacementAnswer, ReplicationStrategy};

/// A promise above this promises nothing.
const PROMISE_MAX: f64 = 4.0;

pub(super) fn every_member_once(strategy: &dyn ReplicationStrategy) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for scenario in scenarios() {
        let first = strategy.place(&scenario.request(None));
        well_formed(&scenario, &first)?;
        for next in [scenario.with_one_more(&mut random), scenario.with_one_less(&mut random)] {
            well_formed(&next, &strategy.place(&next.request(Some(&first.placement))))?;
        }
    }
    Ok(())
}

fn well_formed(scenario: &Scenario, answer: &PlacementAnswer) -> Result<(), String> {
    let placement = &answer.placement;
    let (partitions, wanted) = (placement.partitions(), scenario.partitioning.count() as usize);
    if partitions != wanted {
        return Err(format!("{partitions} lists instead of {wanted}: {}", scenario.describe()));
    }
    for (partition, list) in placement.lists().enumerate() {
        let mut ids = list.to_vec();
        ids.sort_unstable();
        if !ids.iter().eq(scenario.members.iter().map(|member| &member.id)) {
            return Err(format!("partition {partition} has the list {list:?}: {}", scenario.describe()));
        }
    }
    Ok(())
}

pub(super) fn always_the_same(make: &dyn Fn() -> Box<dyn ReplicationStrategy>) -> Result<(), String> {
    let (first, second) = (make(), make());
    if first.name() != second.name() {
        return Err(format!("two instances are called {} and {}", first.name(), second.name()));
    }
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let scenarios = scenarios();
    let mut requests = Vec::new();
    for scenario in &scenarios {
        let previous = first.place(&scenario.request(None));
        let next = scenario.with_one_more(&mut random);
        let answer = first.place(&next.request(Some(&previous.placement)));
        requests.push((scenario.clone(), None, previous.clone()));
        requests.push((next, Some(previous.placement), answer));
    }
    for (scenario, previous, answer) in requests.iter().rev() {
        let request = scenario.request(previous.as_ref());
        for (who, again) in [("the same", first.place(&request)), ("another", second.place(&request))] {
            if again != *answer {
                return Err(format!("{who} instance answers otherwise: {}", scenario.describe()));
            }
        }
    }
    Ok(())
}

pub(super) fn zones(strategy: &dyn ReplicationStrategy) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for scenario in scenarios() {
        let first = strategy.place(&scenario.request(None));
        spread(&scenario, &first)?;
        let next = scenario.with_one_less(&mut random);
        spread(&next, &strategy.place(&next.request(Some(&first.placement))))?;
    }
    Ok(())
}

fn spread(scenario: &Scenario, answer: &PlacementAnswer) -> Result<(), String> {
    let domains: BTreeMap<NodeId, FailureDomain<'_>> =
        scenario.members.iter().map(|member| (member.id, member.failure_domain())).collect();
    let zones = domains.values().collect::<BTreeSet<_>>().len();
    let possible = scenario.owners().min(zones);
    for (partition, list) in answer.placement.lists().enumerate() {
        let owners = list.iter().take(scenario.owners());
        let used = owners.filter_map(|owner| domains.get(owner)).collect::<BTreeSet<_>>().len();
        if used != possible {
            let describe = scenario.describe();
            return Err(format!("partition {partition} is in {used} of {possible} zones: {describe}"));
        }
    }
    let (replicas, members) = (scenario.replicas, scenario.members.len());
    let expected = [
        (members < replicas, UnmetConstraint::TooFewMembers { replicas, members }),
        (zones < scenario.owners(), UnmetConstraint::TooFewZones { replicas, zones }),
    ];
    for (holds, constraint) in expected {
        if answer.unmet.contains(&constraint) != holds {
            let what = if holds { "is not said" } else { "is said and not so" };
            return Err(format!("\"{constraint}\" {what}: {}", scenario.describe()));
        }
    }
    if answer.unmet.iter().any(|unmet| matches!(unmet, UnmetConstraint::SharedZone { .. })) {
        return Err(format!("a shared zone is said and not so: {}", scenario.describe()));
    }
    Ok(())
}

pub(super) fn balance(strategy: &dyn ReplicationStrategy) -> Result<(), String> {
    let promise = strategy.balance();
    if !(1.0..=PROMISE_MAX).contains(&promise) {
        return Err(format!("the promise is {promise}, not 1 to {PROMISE_MAX}"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for scenario in scenarios() {
        let first = strategy.place(&scenario.request(None));
        proportional(&scenario, &first, promise)?;
        let next = scenario.with_one_more(&mut random);
        proportional(&next, &strategy.place(&next.request(Some(&first.placement))), promise)?;
    }
    Ok(())
}

fn proportional(scenario: &Scenario, answer: &PlacementAnswer, promise: f64) -> Result<(), String> {
    let owned = owned(&answer.placement, scenario.owners());
    let mut out_of_promise = 0.0;
    for member in &scenario.members {
        let owned = owned.get(&member.id).copied().unwrap_or(0);
        let share = scenario.share(member);
        // What rounding may do to a bound.
        let bounds = share / promise - 1.001..=share * promise + 1.001;
        let named = answer.unmet.iter().find_map(|unmet| match unmet {
            UnmetConstraint::Unbalanced { node, owned, .. } if *node == member.id => Some(*owned),
            _ => None,
        });
        let what = format!("node {} owns {owned}, its share is {share:.1}", member.id);
        match named {
            Some(said) if said != owned => {
                return Err(format!("{what}, {said} are said: {}", scenario.describe()));
            }
            Some(_) if (share / promise..=share * promise).contains(&(owned as f64)) => {
                return Err(format!("{what}, and it is named all the same: {}", scenario.describe()));
            }
            Some(_) => out_of_promise += (owned as f64 - share).abs(),
            None if !bounds.contains(&(owned as f64)) => {
                return Err(format!("{what}, and it is not named: {}", scenario.describe()));
            }
            None => {}
        }
    }
    // Saying so is no excuse where nothing stands in the way.
    if scenario.is_attainable() && out_of_promise > scenario.slots() / 20.0 {
        let describe = scenario.describe();
        return Err(format!("members are off their shares by {out_of_promise:.0} without need: {describe}"));
    }
    Ok(())
}

pub(super) fn movement(strategy: &dyn ReplicationStrategy) -> Result<(), String> {
    let promise = strategy.movement();
    if !(1.0..=PROMISE_MAX).contains(&promise) {
        return Err(format!("the promise is {promise}, not 1 to {PROMISE_MAX}"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for scenario in scenarios() {
        // Owners that are more, or fewer, than before are no movement.
        if scenario.members.len() <= scenario.replicas {
            continue;
        }
        let first = strategy.place(&scenario.request(None));
        for next in [scenario.with_one_more(&mut random), scenario.with_one_less(&mut random)] {
            let second = strategy.place(&next.request(Some(&first.placement)));
            let moved = moved(&first.placement, &second.placement, scenario.owners());
            let before = owned(&first.placement, scenario.owners());
            let after = owned(&second.placement, scenario.owners());
            let gain =
                |(id, count): (&NodeId, &usize)| count.saturating_sub(before.get(id).copied().unwrap_or(0));
            let must: usize = after.iter().map(gain).sum();
            if moved as f64 > must as f64 * promise {
                return Err(format!(
                    "{moved} owners change where {must} must, from {} to {}",
                    scenario.describe(),
                    next.describe()
                ));
            }
        }
    }
    Ok(())
}

/// Owner slots that are held by another member than before.
fn moved(before: &Placement, after: &Placement, owners: usize) -> usize {
    let lists = before.lists().zip(after.lists());
    let news = lists.map(|(before, after)| {
        let stay = |owner: &&NodeId| before.iter().take(owners).any(|other| other == *owner);
        after.iter().take(owners).filter(|owner| !stay(owner)).count()
    });
    news.sum()
}

/// Partitions that each member owns.
fn owned(placement: &Placement, owners: usize) -> BTreeMap<NodeId, usize> {
    let mut owned = BTreeMap::new();
    for owner in placement.lists().flat_map(|list| list.iter().take(owners)) {
        *owned.entry(*owner).or_default() += 1;
    }
    owned
}

pub(super) fn range(strategy: &dyn ReplicationStrategy) -> Result<(), String> {
    let mut previous: Option<Placement> = None;
    for scenario in extremes() {
        let answer = strategy.place(&scenario.request(previous.as_ref()));
        well_formed(&scenario, &answer)?;
        previous = Some(answer.placement);
    }
    Ok(())
}
