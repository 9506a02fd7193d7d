//! What the wall clocks of nodes show while operations are made.

use crate::testing::simulation::history::{ClockMark, ClockSpan};
use crate::testing::simulation::world::World;

impl World {
    /// The clock of `node` now.
    pub(super) fn mark(&self, node: usize) -> ClockMark {
        let of = &self.nodes[node];
        ClockMark { node, from_ms: of.now(&self.fabric).wall_ms, sets: of.clock_sets }
    }

    /// What it has shown since.
    pub(super) fn span(&self, mark: ClockMark) -> ClockSpan {
        let of = &self.nodes[mark.node];
        match of.clock_sets == mark.sets {
            true => ClockSpan { from_ms: mark.from_ms, until_ms: of.now(&self.fabric).wall_ms },
            false => ClockSpan::UNKNOWN,
        }
    }
}
