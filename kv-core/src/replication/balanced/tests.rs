use std::time::Instant;

use super::*;
use crate::layout::{Member, Partitioning};
use crate::replication::HashRing;

fn members(count: u64, zones: u64, capacity: impl Fn(u64) -> u32) -> Vec<Member> {
    (1..=count)
        .map(|id| {
            let mut member = Member::new(NodeId(id), "h:1");
            if zones > 0 {
                member.zone = format!("z{}", id % zones);
            }
            member.capacity = capacity(id);
            member
        })
        .collect()
}

fn loads(members: &[Member], placement: &Placement, prefix: usize) -> Vec<usize> {
    members
        .iter()
        .map(|m| placement.lists().filter(|l| l.iter().take(prefix).any(|id| *id == m.id)).count())
        .collect()
}

fn figures(strategy: &dyn ReplicationStrategy, members: &[Member], q: u32) {
    let request = PlacementRequest {
        members,
        partitioning: Partitioning::new(q).unwrap(),
        replicas: 3,
        previous: None,
    };
    let t = Instant::now();
    let first = strategy.place(&request);
    println!(
        "{} fresh {}x{} {:?} unmet {:?}",
        strategy.name(),
        q,
        members.len(),
        t.elapsed(),
        first.unmet.len()
    );
    for prefix in 1..=5 {
        let l = loads(members, &first.placement, prefix);
        let total: u32 = members.iter().map(|m| m.capacity).sum();
        let rel: Vec<f64> = members
            .iter()
            .zip(&l)
            .map(|(m, l)| *l as f64 / (q as f64 * prefix as f64 * m.capacity as f64 / total as f64))
            .collect();
        println!(
            "  prefix {prefix}: loads {:?}..{:?} ratio {:.3}..{:.3}",
            l.iter().min().unwrap(),
            l.iter().max().unwrap(),
            rel.iter().cloned().fold(f64::MAX, f64::min),
            rel.iter().cloned().fold(0.0, f64::max)
        );
    }
    for gone in [true, false] {
        let mut changed = members.to_vec();
        if gone {
            changed.remove(members.len() / 2);
        } else {
            let mut m = changed.last().unwrap().clone();
            m.id = NodeId(1000);
            changed.push(m);
        }
        let t = Instant::now();
        let next = strategy.place(&PlacementRequest {
            members: &changed,
            previous: Some(&first.placement),
            ..request
        });
        let time = t.elapsed();
        let mut all = changed.clone();
        all.extend(members.iter().filter(|m| !changed.contains(m)).cloned());
        for prefix in [1, 2, 3] {
            let moved: usize = first
                .placement
                .lists()
                .zip(next.placement.lists())
                .map(|(a, b)| {
                    b.iter().take(prefix).filter(|id| !a.iter().take(prefix).any(|x| x == *id)).count()
                })
                .sum();
            let must: usize = loads(&all, &first.placement, prefix)
                .iter()
                .zip(loads(&all, &next.placement, prefix))
                .map(|(a, b)| b.saturating_sub(*a))
                .sum();
            println!(
                "  gone {gone} prefix {prefix}: moved {moved} must {must} {:.3} ({time:?}) unmet {}",
                moved as f64 / must as f64,
                next.unmet.len()
            );
        }
    }
}

#[test]
#[ignore]
fn show() {
    let which = std::env::var("BIG").is_ok();
    for q in if which { vec![65_536] } else { vec![1024] } {
        for (n, z) in [(64, 0), (64, 4), (12, 3), (9, 2), (64, 64)] {
            println!("--- {n} members {z} zones");
            let m = members(n, z, |_| 100);
            figures(&BalancedPlacement, &m, q);
            figures(&HashRing::default(), &m, q);
            println!("--- {n} members {z} zones mixed capacity");
            let m = members(n, z, |id| (1 + (id * 37) % 100) as u32);
            figures(&BalancedPlacement, &m, q);
            figures(&HashRing::default(), &m, q);
        }
    }
}
