//! Whole records travel: puts in the end whose effects show it.

use crate::bucket::Quorum;
use crate::command::{Get, ReadOptions};
use crate::record::CellView;
use crate::testing::simulation::history::{Basis, HandedOn};
use crate::testing::simulation::keys::SimulatedKey;
use crate::testing::simulation::world::World;
use crate::wire::{AnswerBody, RequestBody};

impl World {
    /// Takes one key on which the owners do not agree, as the faults left it; notes what the first owner shows of it, and, after a put
    /// through that owner which replaces nothing and which all acknowledge, what every owner shows.
    pub(super) fn hand_on(&mut self) {
        let Some(key) = (0..self.keys.len()).find(|key| self.is_in_pieces(*key)) else { return };
        let owners = self.keys[key].owners.clone();
        let Some(before) = self.shown_by(owners[0], key) else { return };
        let Some(put) = self.put_at_all(key, owners[0], Basis::Nothing) else { return };
        for owner in owners {
            if let Some(after) = self.shown_by(owner, key) {
                self.history.keys[key].handed_on.push(HandedOn { before, put, after });
            }
        }
    }

    /// Whether owners store different whole records of a key that keeps siblings.
    fn is_in_pieces(&self, key: usize) -> bool {
        let SimulatedKey { owners, bucket, .. } = &self.keys[key];
        let stored = owners.iter().map(|owner| {
            let whole =
                |cell: Option<CellView<'_>>| Some(cell.filter(|cell| cell.recovering.is_none())?.digest);
            self.cell(*owner, key, whole)
        });
        let stored: Vec<_> = stored.collect();
        !self.fabric.plan.buckets[*bucket].by_stamp
            && !stored.contains(&Some(None))
            && stored.iter().any(|other| *other != stored[0])
    }

    /// Gets from one replica through a node and returns the place of the read; an owner shows what it has.
    fn shown_by(&mut self, node: usize, key: usize) -> Option<usize> {
        let bucket = self.fabric.plan.buckets[self.keys[key].bucket].name.to_string();
        let options = ReadOptions { r: Some(Quorum::One), timeout_ms: Some(500), ..ReadOptions::default() };
        let start_us = self.fabric.now_us;
        let mark = self.mark(node);
        let get = Get { bucket, key: self.keys[key].key.clone(), options };
        let Some(AnswerBody::Get(Ok(answer))) = self.ask(node, RequestBody::Get(get)) else { return None };
        Some(self.history.read(
            key,
            (start_us, self.fabric.now_us),
            self.span(mark),
            1,
            false,
            &answer.values,
        ))
    }
}
