//! Stand-ins: in the end every copy that was kept for an absent owner has been delivered to it, and to nobody else.

use crate::replica::read_copies;
use crate::testing::simulation::history::WriteOutcome;
use crate::testing::simulation::node::node_id;
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Violation};

impl World {
    /// Judges what is stored before anybody has read anything in the end, which would repair it.
    pub(super) fn check_copies(&self, violations: &mut Vec<Violation>) {
        for node in &self.nodes {
            let left = read_copies(&**node.disk.inner(), None).map(|page| page.owner);
            if left != Ok(None) {
                let owner = left.ok().flatten();
                let liveness = owner.and_then(|owner| node.liveness(owner));
                let message =
                    format!("node {} still keeps copies for {owner:?}, which is {liveness:?}", node.index);
                violations.push(Violation { check: Check::CopiesAreDelivered, message });
            }
        }
        if self.stores.replaced > 0 {
            // Copies may have gone with a store.
            return;
        }
        for key in 0..self.keys.len() {
            for write in &self.history.keys[key].writes {
                let WriteOutcome::Applied(dot, _) = write.outcome else { continue };
                let owners = self.keys[key].owners.iter().copied();
                for owner in owners.filter(|owner| write.kept_for.contains(&node_id(*owner))) {
                    if self.has(owner, key, dot) == Some(false) {
                        let name = &self.history.keys[key].name;
                        let message = format!(
                            "{name}: node {owner} never got write {}, which was kept for it",
                            write.id
                        );
                        violations.push(Violation { check: Check::CopiesAreDelivered, message });
                    }
                }
            }
        }
    }

    /// Whether a node has a version or something that replaced it; unknown where stamps decide, of a record that is damaged, and where so many epochs
    /// have gone by that what replaced it may be gone.
    fn has(&self, node: usize, key: usize, dot: crate::causality::Dot) -> Option<bool> {
        if self.history.keys[key].by_stamp || self.nodes[node].has_reaped() {
            return None;
        }
        let has = self.cell(node, key, |cell| {
            let cell = cell.filter(|cell| cell.recovering.is_none())?;
            let record = cell.decode_record().ok()?;
            Some(record.versions().iter().any(|version| version.dot == dot || version.past.contains(dot)))
        });
        has.unwrap_or(Some(false))
    }
}
