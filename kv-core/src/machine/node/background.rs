use crate::ids::NodeId;
use crate::machine::anti_entropy::Gets;
use crate::machine::many::Asker;
use crate::machine::node::NodeMachine;
use crate::machine::outbox::Outbox;
use crate::machine::{Effect, Outcome};
use crate::time::Now;
use crate::tree::TreeId;
use crate::view::View;
use crate::wire::{RangeAnswer, RepairStatus};

impl<T> NodeMachine<T> {
    /// How anti-entropy is getting on.
    pub fn repair_status(&self) -> RepairStatus {
        self.anti_entropy.status()
    }

    /// With whom this node has exchanged a partition since it started, and how many milliseconds ago that was last.
    pub fn exchanged_ms(&self, tree: TreeId, now: Now) -> Vec<(NodeId, u64)> {
        self.anti_entropy.exchanged_ms(tree, now)
    }

    /// Begins a round of anti-entropy.
    pub(super) fn start_repair(&mut self, ticket: T, at: (&View, Now), outbox: &mut Outbox<'_, T>) {
        let round = self.anti_entropy.start(at.1);
        outbox.effect(Effect::Complete { ticket, outcome: Outcome::Repair(round) });
        self.anti_entropy.tick(at, outbox);
    }

    /// This node's part of a range that differs was listed.
    pub(super) fn listed(
        &mut self,
        at: (&View, Now),
        step: u64,
        answer: RangeAnswer,
        outbox: &mut Outbox<'_, T>,
    ) {
        let gets = self.anti_entropy.listed(at, (step, answer), outbox);
        self.get_to_repair(at, gets, outbox);
    }

    /// Gets keys in which owners differ, so that they do not any more.
    pub(super) fn get_to_repair(&mut self, at: (&View, Now), gets: Gets, outbox: &mut Outbox<'_, T>) {
        if let Some(gets) = gets {
            self.get_many(at, Asker::Repair, gets, outbox);
        }
    }
}
