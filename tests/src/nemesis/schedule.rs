//! Which faults happen when, drawn from a seed.

use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scenario {
    /// One or two nodes are killed and started again.
    Kill,
    /// One or two nodes stand still for a while.
    Pause,
    /// One or two nodes and the others do not hear each other.
    Partition,
    /// Some nodes are not heard by the others, which they hear.
    OneWay,
    /// The cable of a node is pulled and put back, many times.
    Flap,
    /// Packets are lost and delayed.
    Lossy,
    /// The disk of one or two nodes is full.
    DiskFull,
    /// Machines lose their power and what they had not made durable: some, or all at once.
    PowerCut,
    /// The disk of a node reports errors where data is made durable.
    FailingSync,
    /// The clock of a node jumps, by an hour or by ten years.
    Skew,
    /// Nodes are stopped or killed and started again, one after the other, without a pause.
    Restarts,
    /// All of these, two at a time.
    Everything,
}

/// Something that is done to nodes for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and a start at the end.
    Kill(Vec<usize>),
    /// SIGSTOP, and SIGCONT at the end.
    Pause(Vec<usize>),
    /// These do not hear the others, nor the others them.
    Partition(Vec<usize>),
    /// These do not hear the others.
    Deaf(Vec<usize>),
    /// The others do not hear these.
    Mute(Vec<usize>),
    /// The cable of a node is loose.
    Flap(usize),
    /// That many of a hundred packets to these nodes are lost, and the rest is delayed by that many milliseconds.
    Lossy(Vec<usize>, u32, u32),
    /// The disk is full.
    DiskFull(Vec<usize>),
    /// Power is cut, and given back at the end.
    PowerCut(Vec<usize>),
    /// From the so-many-th call on that makes data durable, these calls fail with EIO.
    FailingSync(usize, u32),
    /// The clock is off by so many seconds.
    Skew(usize, i64),
    /// A node is stopped, by SIGTERM if `gently`, and started at the end.
    Restart {
        /// Which.
        node: usize,
        /// Whether it is asked to stop, rather than killed.
        gently: bool,
    },
}

/// A fault and its time, since the faults began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it begins.
    pub begin: Duration,
    /// When it is over.
    pub end: Duration,
    /// What it is.
    pub fault: Fault,
}

impl Scenario {
    /// All kinds, the mix last.
    pub const ALL: [Scenario; 12] = [
        Scenario::Kill,
        Scenario::Pause,
        Scenario::Partition,
        Scenario::OneWay,
        Scenario::Flap,
        Scenario::Lossy,
        Scenario::DiskFull,
        Scenario::PowerCut,
        Scenario::FailingSync,
        Scenario::Skew,
        Scenario::Restarts,
        Scenario::Everything,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map(|value| value.get_name().to_string())
            .unwrap_or_default()
    }

    /// Whether nodes have to have disks of their own.
    pub fn needs_disks(self) -> bool {
        matches!(self, Scenario::DiskFull | Scenario::PowerCut | Scenario::Everything)
    }

    /// Whether nodes have to have clocks of their own.
    pub fn needs_clocks(self) -> bool {
        matches!(self, Scenario::Skew | Scenario::Everything)
    }

    fn fault(self, random: &mut ChaCha8Rng, nodes: usize) -> Fault {
        let one = random.random_range(0..nodes);
        let few = some(random, nodes, 2);
        match self {
            Scenario::Kill => Fault::Kill(few),
            Scenario::Pause => Fault::Pause(few),
            Scenario::Partition => Fault::Partition(few),
            Scenario::OneWay if random.random_bool(0.5) => Fault::Deaf(few),
            Scenario::OneWay => Fault::Mute(few),
            Scenario::Flap => Fault::Flap(one),
            Scenario::Lossy => Fault::Lossy(
                some(random, nodes, nodes),
                random.random_range(1..20),
                random.random_range(5..60),
            ),
            Scenario::DiskFull => Fault::DiskFull(few),
            Scenario::PowerCut if random.random_bool(0.4) => Fault::PowerCut((0..nodes).collect()),
            Scenario::PowerCut => Fault::PowerCut(few),
            Scenario::FailingSync => Fault::FailingSync(one, random.random_range(1..100)),
            Scenario::Skew => {
                let seconds = [3_600, 315_576_000, random.random_range(1..60)];
                let seconds = seconds[random.random_range(0..3)];
                Fault::Skew(one, if random.random_bool(0.5) { seconds } else { -seconds })
            }
            Scenario::Restarts => Fault::Restart { node: one, gently: random.random_bool(0.5) },
            Scenario::Everything => {
                let kinds = Scenario::ALL.len() - 1;
                let fault = Scenario::ALL[random.random_range(0..kinds)].fault(random, nodes);
                // Room is left for another fault beside it.
                match fault {
                    Fault::PowerCut(_) => Fault::PowerCut(few),
                    Fault::Lossy(_, percent, delay) => Fault::Lossy(few, percent, delay),
                    other => other,
                }
            }
        }
    }
}

impl Fault {
    /// The nodes that it is done to.
    pub fn nodes(&self) -> Vec<usize> {
        match self {
            Fault::Kill(nodes)
            | Fault::Pause(nodes)
            | Fault::Partition(nodes)
            | Fault::Deaf(nodes)
            | Fault::Mute(nodes)
            | Fault::Lossy(nodes, ..)
            | Fault::DiskFull(nodes)
            | Fault::PowerCut(nodes) => nodes.clone(),
            Fault::Flap(node)
            | Fault::FailingSync(node, _)
            | Fault::Skew(node, _)
            | Fault::Restart { node, .. } => vec![*node],
        }
    }
}

/// The faults of a scenario for a cluster of so many nodes and for so long.
pub fn draw(scenario: Scenario, seed: u64, nodes: usize, length: Duration) -> Vec<Step> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut steps = track(scenario, &mut random, nodes, length);
    if scenario == Scenario::Everything {
        let first = steps.clone();
        for mut step in track(scenario, &mut random, nodes, length) {
            let beside = |other: &&Step| other.begin < step.end && step.begin < other.end;
            let taken: Vec<usize> =
                first.iter().filter(beside).flat_map(|other| other.fault.nodes()).collect();
            // What is done to one node at a time stays the same fault until it ends.
            let free = (0..100).map(|_| scenario.fault(&mut random, nodes));
            let mut free = free.filter(|fault| fault.nodes().iter().all(|node| !taken.contains(node)));
            if let Some(fault) = free.next() {
                step.fault = fault;
                steps.push(step);
            }
        }
    }
    steps.sort_by_key(|step| step.begin);
    steps
}

/// Faults one after the other.
fn track(scenario: Scenario, random: &mut ChaCha8Rng, nodes: usize, length: Duration) -> Vec<Step> {
    let typical = if scenario == Scenario::Restarts {
        Duration::from_millis(300)
    } else {
        (length / 6).clamp(Duration::from_millis(2_000), Duration::from_millis(8_000))
    };
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        let begin = at + typical.mul_f64(random.random_range(0.1..0.6));
        let end = begin + typical.mul_f64(random.random_range(0.6..1.2));
        if end > length {
            return steps;
        }
        steps.push(Step { begin, end, fault: scenario.fault(random, nodes) });
        at = end;
    }
}

/// From one to `most` nodes.
fn some(random: &mut ChaCha8Rng, nodes: usize, most: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..nodes).collect();
    all.shuffle(random);
    all.truncate(random.random_range(1..=most.min(nodes)));
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    #[test]
    fn a_seed_says_everything_and_another_one_something_else() {
        for scenario in Scenario::ALL {
            let drawn = draw(scenario, 7, 5, LENGTH);
            assert!(drawn.len() >= 4, "{scenario:?}: {drawn:?}");
            assert_eq!(drawn, draw(scenario, 7, 5, LENGTH));
            assert_ne!(drawn, draw(scenario, 8, 5, LENGTH));
        }
    }

    #[test]
    fn faults_end_in_time_and_no_node_has_two_at_a_time() {
        for (scenario, seed) in Scenario::ALL.into_iter().flat_map(|one| (0..50).map(move |seed| (one, seed)))
        {
            let drawn = draw(scenario, seed, 5, LENGTH);
            for (index, step) in drawn.iter().enumerate() {
                assert!(step.begin < step.end && step.end <= LENGTH);
                let beside = drawn[..index].iter().filter(|other| other.end > step.begin);
                for other in beside {
                    let nodes = other.fault.nodes();
                    assert!(
                        step.fault.nodes().iter().all(|node| !nodes.contains(node)),
                        "{other:?} {step:?}"
                    );
                }
            }
        }
    }
}
