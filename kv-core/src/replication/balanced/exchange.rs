use std::collections::VecDeque;

use super::mixer::mix;
use super::table::Table;

/// Loads that are brought to their goals by giving slots of partitions from one member to another.
pub(super) trait Exchange {
    /// The members whose slots of `partition` may go to others.
    fn givers(&self, partition: usize, into: &mut Vec<usize>);
    /// Whether `partition` has a slot that nobody holds.
    fn has_gap(&self, partition: usize) -> bool;
    /// The members that may take a slot of `partition` in place of `giver`, or the gap.
    fn takers(&self, partition: usize, giver: Option<usize>, into: &mut Vec<usize>);
    /// Gives the slot of `giver`, or the gap, to `taker`.
    fn give(&mut self, partition: usize, giver: Option<usize>, taker: usize);
}

/// What members hold and should hold.
pub(super) struct Loads {
    pub(super) held: Table<usize>,
    pub(super) goal: Table<usize>,
}

impl Loads {
    fn room(&self, member: usize) -> usize {
        self.goal[member].saturating_sub(self.held[member])
    }

    fn is_over(&self, member: usize) -> bool {
        self.held[member] > self.goal[member]
    }

    fn record(&mut self, giver: Option<usize>, taker: usize) {
        if let Some(giver) = giver {
            self.held[giver] -= 1;
        }
        self.held[taker] += 1;
    }
}

/// Fills the gaps and brings every load to its goal if that can be done, with few exchanges: first those that help both
/// sides at once, then along shortest chains, as a maximum flow would (Edmonds and Karp 1972).
pub(super) fn settle(problem: &mut dyn Exchange, loads: &mut Loads, order: &[usize]) {
    let mut givers = Vec::new();
    let mut takers = Vec::new();
    let mut open = 0;
    for &partition in order {
        while problem.has_gap(partition) {
            let Some(taker) = roomiest(problem, loads, partition, None, &mut takers) else {
                open += 1;
                break;
            };
            problem.give(partition, None, taker);
            loads.record(None, taker);
        }
        givers.clear();
        problem.givers(partition, &mut givers);
        for &giver in givers.iter().filter(|giver| loads.is_over(**giver)).collect::<Vec<_>>() {
            if let Some(taker) = roomiest(problem, loads, partition, Some(giver), &mut takers) {
                problem.give(partition, Some(giver), taker);
                loads.record(Some(giver), taker);
            }
        }
    }
    let over: usize =
        (0..loads.held.len()).map(|member| loads.held[member].saturating_sub(loads.goal[member])).sum();
    // Each chain removes one cause unless two of its links meet in one partition; the bound is for those.
    let chains_max = 2 * (open * 4 + over) + loads.held.len();
    for _ in 0..chains_max {
        let Some(chain) = shortest_chain(problem, loads, order) else { break };
        for (partition, giver, taker) in chain {
            takers.clear();
            problem.takers(partition, giver, &mut takers);
            if !takers.contains(&taker) {
                break;
            }
            problem.give(partition, giver, taker);
            loads.record(giver, taker);
        }
    }
}

/// The member with the most room that may take the slot.
fn roomiest(
    problem: &dyn Exchange,
    loads: &Loads,
    partition: usize,
    giver: Option<usize>,
    takers: &mut Vec<usize>,
) -> Option<usize> {
    takers.clear();
    problem.takers(partition, giver, takers);
    let rank = |taker: &usize| (loads.room(*taker), mix(mix(partition as u64) ^ *taker as u64));
    takers.iter().copied().filter(|taker| loads.room(*taker) > 0).max_by_key(rank)
}

/// One exchange: partition, giver, taker.
type Link = (usize, Option<usize>, usize);

/// The shortest chain of exchanges from a gap or a member above its goal to one below, last link first.
fn shortest_chain(problem: &dyn Exchange, loads: &Loads, order: &[usize]) -> Option<Vec<Link>> {
    let members = loads.held.len();
    if (0..members).all(|member| loads.room(member) == 0) {
        return None;
    }
    let mut given: Table<Vec<usize>> = Table::filled(members, Vec::new());
    let mut links: Table<Option<Link>> = Table::filled(members, None);
    let mut reached = Table::filled(members, false);
    let mut queue = VecDeque::new();
    let mut buffer = Vec::new();
    for member in (0..members).filter(|member| loads.is_over(*member)) {
        reached[member] = true;
        queue.push_back(member);
    }
    for &partition in order {
        buffer.clear();
        problem.givers(partition, &mut buffer);
        for giver in &buffer {
            given[*giver].push(partition);
        }
        if problem.has_gap(partition) {
            buffer.clear();
            problem.takers(partition, None, &mut buffer);
            for &taker in buffer.iter() {
                if !reached[taker] {
                    reached[taker] = true;
                    links[taker] = Some((partition, None, taker));
                    queue.push_back(taker);
                }
            }
        }
    }
    let mut unreached = reached.iter().filter(|reached| !**reached).count();
    let mut end = None;
    while let Some(member) = queue.pop_front() {
        if loads.room(member) > 0 {
            end = Some(member);
            break;
        }
        for &partition in &given[member] {
            if unreached == 0 {
                break;
            }
            buffer.clear();
            problem.takers(partition, Some(member), &mut buffer);
            for &taker in buffer.iter() {
                if !reached[taker] {
                    reached[taker] = true;
                    unreached -= 1;
                    links[taker] = Some((partition, Some(member), taker));
                    queue.push_back(taker);
                }
            }
        }
    }
    let mut chain = Vec::new();
    let mut link = links[end?];
    while let Some((partition, giver, taker)) = link {
        chain.push((partition, giver, taker));
        link = giver.and_then(|giver| links[giver]);
    }
    Some(chain)
}
