//! Anti-entropy at the end of a run: replicas become equal although nobody reads, trees say what is stored, and nothing is sent twice.

use smallvec::SmallVec;

use crate::causality::Dot;
use crate::ids::PartitionId;
use crate::record::CellView;
use crate::replica::{Partitions, count_leaf};
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Violation};
use crate::tree::{LEAVES, LeafId, TreeId};

/// How many periods nodes are given to find what differs, and then to find that nothing does.
const PERIODS: u64 = 12;
/// How many until what is deleted is gone: five epochs, each a few rounds of exchanges.
const REAPING_PERIODS_MAX: u64 = 100;
/// However short the period is, a round takes as long, in microseconds: some answers of each peer.
const ROUND_US_MIN: u64 = 60_000;

impl World {
    /// Waits until every node has compared itself with every other, and judges what came of it.
    pub(super) fn check_exchanges(&mut self, violations: &mut Vec<Violation>) {
        let Some(period_us) = self.exchange_period_us() else { return };
        self.wait(PERIODS * period_us);
        for key in 0..self.keys.len() {
            let stored: Vec<_> =
                self.keys[key].owners.iter().map(|owner| (*owner, self.state(*owner, key))).collect();
            // A damage that nobody has come upon is nobody's fault.
            let seen: Vec<_> = stored.iter().filter(|(_, state)| *state != State::Damaged).collect();
            let whole = seen.iter().all(|(_, state)| *state != State::Recovering);
            if !whole || seen.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                let name = &self.history.keys[key].name;
                let message =
                    format!("{name}: after {PERIODS} periods of exchanges the owners store {stored:?}");
                violations.push(Violation { check: Check::ReplicasConverge, message });
            }
        }
        let repaired = self.keys_repaired();
        self.wait(2 * period_us);
        let more = self.keys_repaired() - repaired;
        if more > 0 {
            let message = format!("{more} keys were repaired by exchanges after all replicas had converged");
            violations.push(Violation { check: Check::ConvergedNeedNoRepair, message });
        }
    }

    /// Waits until what is deleted has left the stores, and judges whether it has.
    pub(super) fn check_reaping(&mut self, violations: &mut Vec<Violation>) {
        let Some(period_us) = self.exchange_period_us() else { return };
        for _ in 0..REAPING_PERIODS_MAX {
            if self
                .nodes
                .iter()
                .all(|node| node.partitions().is_some_and(|of| of.epochs.figures(&node.view).ageing == 0))
            {
                break;
            }
            self.wait(period_us);
        }
        for node in &self.nodes {
            let figures = node.partitions().map(|partitions| partitions.epochs.figures(&node.view));
            for key in 0..self.keys.len() {
                let dead = |cell: Option<CellView<'_>>| {
                    let record = cell?.decode_record().ok()?;
                    Some(record.versions().iter().filter(|version| version.is_tombstone()).count())
                };
                let dead = self.cell(node.index, key, dead).flatten().unwrap_or(0);
                if dead > 0 {
                    let name = &self.history.keys[key].name;
                    let message = format!(
                        "{name}: node {} stores {dead} tombstones {REAPING_PERIODS_MAX} periods after the last delete: {figures:?}",
                        node.index
                    );
                    violations.push(Violation { check: Check::DeletedIsGone, message });
                }
            }
        }
    }

    /// How long a round takes at least; none if there are no rounds.
    fn exchange_period_us(&self) -> Option<u64> {
        let period_us = self.nodes[0].view.limits.repair_period_ms * 1_000;
        (period_us > 0).then_some(period_us.max(ROUND_US_MIN))
    }

    fn keys_repaired(&self) -> u64 {
        self.nodes.iter().map(|node| node.keys_repaired()).sum()
    }

    fn state(&self, node: usize, key: usize) -> State {
        let state = |cell: Option<CellView<'_>>| match cell {
            None => State::Damaged,
            Some(cell) if cell.recovering.is_some() => State::Recovering,
            // By name: pasts go at each replica in its own time. A record without versions is as good as none.
            Some(cell) => State::Whole(cell.dots().ok().filter(|dots| !dots.is_empty())),
        };
        self.cell(node, key, state).unwrap_or(State::Whole(None))
    }

    /// Each leaf that a node knows has the digest of what is stored; except where bits were flipped beneath it.
    pub(super) fn check_trees(&self, violations: &mut Vec<Violation>) {
        for node in &self.nodes {
            let Some(Partitions { trees, .. }) = node.partitions() else { continue };
            let partitioning = node.view.layout.partitioning();
            for (_, bucket, _) in node.view.table().buckets() {
                for partition in (0..partitioning.count()).map(PartitionId) {
                    let id = TreeId { bucket, partition };
                    let tree = trees.tree(id);
                    let unknown: Vec<u8> = tree.unknown().collect();
                    for leaf in (0..LEAVES as u8).filter(|leaf| !unknown.contains(leaf)) {
                        let counted = count_leaf(&node.view, &**node.disk.inner(), LeafId { tree: id, leaf });
                        let Ok(counted) = counted else { continue };
                        if counted.damaged == 0 && counted.sum != tree.sums()[usize::from(leaf)] {
                            let message = format!(
                                "node {}: leaf {leaf} of {id:?} is not that of its {} records",
                                node.index, counted.records
                            );
                            violations.push(Violation { check: Check::TreesAreTrue, message });
                        }
                    }
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Whole(Option<SmallVec<[Dot; 2]>>),
    Recovering,
    Damaged,
}
