use crate::testing::simulation::plan::{Plan, Rates};
use crate::testing::simulation::random::Random;

/// Carries messages between nodes, and between clients and nodes.
#[derive(Debug)]
pub(super) struct Network {
    nodes: usize,
    // Bit `to` of `cut[from]`: nothing gets from the one to the other. The last row and bit are the clients'.
    cut: Vec<u32>,
    slow_us: Vec<u64>,
    /// The same for calls alone.
    slow_calls_us: Vec<u64>,
    keeps_order: bool,
    last_arrival_us: Vec<u64>,
    cuts: u64,
}

/// Shortest and longest ordinary time from one end of a link to the other.
const DELAY_US: (u64, u64) = (1_500, 4_500);
/// Delay of everything on a link that is slow.
const SLOW_LINK_US: (u64, u64) = (5_000, 70_000);

/// The mean round trip of ordinary messages.
pub(super) const ROUND_TRIP_US: u64 = DELAY_US.0 + DELAY_US.1;

impl Network {
    pub(super) fn new(plan: &Plan) -> Self {
        let ends = plan.nodes + 1;
        Network {
            nodes: plan.nodes,
            cut: vec![0; ends],
            slow_us: vec![0; ends * ends],
            slow_calls_us: vec![0; ends * ends],
            keeps_order: !plan.faults.reordering,
            last_arrival_us: vec![0; ends * ends],
            cuts: 0,
        }
    }

    /// The end of links at which the clients are.
    pub(super) fn clients(&self) -> usize {
        self.nodes
    }

    /// When a message that is sent now arrives, or none if it is lost.
    pub(super) fn arrival(
        &mut self,
        now_us: u64,
        from: usize,
        to: usize,
        rates: &Rates,
        random: &mut Random,
    ) -> Option<u64> {
        if self.is_cut(from, to) || random.chance(rates.loss) {
            return None;
        }
        let link = from * (self.nodes + 1) + to;
        let mut delay = random.between(DELAY_US.0, DELAY_US.1) + self.slow_us[link];
        if random.chance(rates.slow) {
            delay += random.below(rates.slow_us_max);
        }
        let mut at = now_us + delay;
        if self.keeps_order {
            at = at.max(self.last_arrival_us[link] + 1);
            self.last_arrival_us[link] = at;
        }
        Some(at)
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from] >> to & 1 == 1
    }

    /// Cuts some links, in one of the shapes that break systems (Alquraan et al., OSDI 2018), or slows one down; returns its number.
    pub(super) fn break_something(&mut self, cut: bool, slow: bool, random: &mut Random) -> (u64, String) {
        self.cuts += 1;
        let (one, other) = (random.index(self.nodes), random.index(self.nodes));
        if slow && (!cut || random.below(4) == 0) {
            if random.coin() {
                return (self.slow_caller(one, random), format!("the calls of node {one} are slow"));
            }
            self.slow_us[one * (self.nodes + 1) + other] = random.between(SLOW_LINK_US.0, SLOW_LINK_US.1);
            return (self.cuts, format!("link {one} -> {other} is slow"));
        }
        let what = match random.below(6) {
            0 => {
                let side = random.bits();
                for from in 0..self.nodes {
                    for to in 0..self.nodes {
                        if (side >> from ^ side >> to) & 1 == 1 {
                            self.cut[from] |= 1 << to;
                        }
                    }
                }
                "two groups".to_string()
            }
            1 => {
                self.cut_off(one);
                format!("node {one} is cut off")
            }
            2 => {
                self.cut[one] |= (1 << self.nodes) - 1;
                for from in 0..self.nodes {
                    self.cut[from] |= 1 << one;
                }
                format!("node {one} is cut off from its peers")
            }
            3 => {
                self.cut[one] |= 1 << other;
                self.cut[other] |= 1 << one;
                format!("nodes {one} and {other} are cut")
            }
            4 => {
                self.cut[one] |= 1 << other;
                format!("link {one} -> {other} is cut")
            }
            _ => {
                self.mute(one);
                format!("nothing leaves node {one}")
            }
        };
        // A node always reaches itself; it never uses the network for that.
        (self.cuts, what)
    }

    /// Lets nothing get to a node or leave it.
    pub(super) fn cut_off(&mut self, node: usize) {
        self.mute(node);
        for from in 0..=self.nodes {
            self.cut[from] |= 1 << node;
        }
    }

    /// Lets nothing leave a node.
    pub(super) fn mute(&mut self, node: usize) {
        self.cut[node] = u32::MAX;
    }

    /// Slows down, each by its own measure, the connections over which a node calls its peers; its answers are quick. Returns the number of
    /// the break.
    pub(super) fn slow_caller(&mut self, node: usize, random: &mut Random) -> u64 {
        self.cuts += 1;
        let links = node * (self.nodes + 1);
        self.slow_calls_us[links..links + self.nodes]
            .fill_with(|| random.between(SLOW_LINK_US.0, SLOW_LINK_US.1));
        self.cuts
    }

    /// How much longer a call takes than other messages.
    pub(super) fn call_us(&self, from: usize, to: usize) -> u64 {
        self.slow_calls_us[from * (self.nodes + 1) + to]
    }

    /// Makes everything whole, if nothing was broken since the break of that number.
    pub(super) fn heal(&mut self, number: u64) -> bool {
        if number != self.cuts {
            return false;
        }
        self.heal_all();
        true
    }

    pub(super) fn heal_all(&mut self) {
        self.cut.fill(0);
        self.slow_us.fill(0);
        self.slow_calls_us.fill(0);
    }
}
