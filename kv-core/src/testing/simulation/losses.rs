//! Stores that are lost, or put back as they once were.

use std::sync::Arc;

use crate::causality::Dot;
use crate::record::{CellView, Record};
use crate::replica::{StoreIdentity, mark_replacement, read_copies};
use crate::storage::{Batch, Durability, Storage};
use crate::testing::simulation::disk::FaultyDisk;
use crate::testing::simulation::history::{Restored, WriteOutcome};
use crate::testing::simulation::node::node_id;
use crate::testing::simulation::stores::entries;
use crate::testing::simulation::world::World;
use crate::tree::TreeId;

/// How long a node is down whose store is replaced, in microseconds.
const DOWN_US: (u64, u64) = (1_000, 100_000);

impl World {
    /// Crashes a node and lets it come back with an empty store, if that leaves every acknowledged write in another one.
    pub(super) fn lose_store(&mut self, node: usize) -> Option<String> {
        if !self.may_replace(node) {
            return None;
        }
        let store = self.fresh_store(node);
        let view = &self.nodes[node].view;
        StoreIdentity::write(&*store, &view.identity, &view.layout, view.table())
            .and_then(|()| mark_replacement(&*store, &view.replicated()))
            .unwrap_or_else(|error| panic!("the storage of node {node} cannot be set up: {error}"));
        self.replace(node, store);
        Some(format!("node {node} loses its store"))
    }

    /// Crashes a node and lets it come back with an earlier copy of its store; makes that copy, if there is none.
    pub(super) fn restore_store(&mut self, node: usize) -> Option<String> {
        let Some(copy) = &self.stores.copies[node] else {
            self.stores.copies[node] = Some(entries(&**self.nodes[node].disk.inner()));
            return None;
        };
        if !self.may_replace(node) {
            return None;
        }
        let mut batch = Batch::new();
        copy.iter().for_each(|(key, value)| batch.put(key, &[value]));
        let store = self.fresh_store(node);
        store
            .write(&batch, Durability::Synced)
            .unwrap_or_else(|error| panic!("the storage of node {node} cannot be set up: {error}"));
        self.replace(node, store);
        let now_us = self.fabric.now_us;
        for (key, history) in self.keys.iter().zip(&mut self.history.keys) {
            if key.owners.contains(&node) {
                history.restored.push(Restored { node, at_us: now_us, whole_us: u64::MAX });
            }
        }
        Some(format!("an old copy of the store of node {node} is put in its place"))
    }

    /// Whether the store of a node was replaced and it does not yet have again what it had.
    pub(super) fn is_behind(&self, node: usize) -> bool {
        self.stores.is_behind[node]
    }

    /// Takes note of the stores that have caught up.
    pub(super) fn look_at_stores(&mut self) {
        for node in 0..self.nodes.len() {
            if self.stores.is_behind[node] && self.has_caught_up(node) {
                self.stores.is_behind[node] = false;
                let now_us = self.fabric.now_us;
                let all = self.history.keys.iter_mut().flat_map(|key| &mut key.restored);
                all.filter(|restored| restored.node == node && restored.whole_us == u64::MAX)
                    .for_each(|restored| restored.whole_us = now_us);
            }
        }
    }

    fn fresh_store(&self, node: usize) -> Arc<dyn Storage> {
        (self.stores.factory)(node_id(node))
    }

    fn replace(&mut self, node: usize, store: Arc<dyn Storage>) {
        let down_us = self.fabric.random.between(DOWN_US.0, DOWN_US.1);
        self.nodes[node].crash(&mut self.fabric, down_us);
        let disk = FaultyDisk::new(store, self.fabric.random.bits());
        disk.fail(&self.fabric.plan.rates, 1);
        self.nodes[node].replace_disk(disk);
        self.stores.is_behind[node] = true;
        self.stores.replaced += 1;
    }

    /// Whether fewer than W replicas of each partition then lack anything, and every acknowledged write that the node has is in another store.
    fn may_replace(&self, node: usize) -> bool {
        let is_alone = self.stores.is_behind.iter().all(|behind| !behind);
        let owned = (0..self.keys.len()).filter(|key| self.keys[*key].owners.contains(&node));
        is_alone && owned.clone().all(|key| self.may_lack(node, key)) && self.is_all_elsewhere(node)
    }

    fn is_all_elsewhere(&self, node: usize) -> bool {
        let stored: Vec<Vec<(usize, Record)>> =
            (0..self.nodes.len()).map(|other| self.records(other, (other != node).then_some(node))).collect();
        stored[node].iter().all(|(key, record)| {
            let acknowledged = record.versions().iter().map(|version| version.dot).filter(|dot| {
                let writes = self.history.keys[*key].writes.iter();
                let mut named = writes.filter_map(|write| match &write.outcome {
                    WriteOutcome::Applied(dot, _) => Some(*dot),
                    _ => None,
                });
                named.any(|named| named == *dot)
            });
            let mut lost = acknowledged.filter(|dot| {
                let others = stored.iter().enumerate().filter(|(other, _)| *other != node);
                !others.flat_map(|(_, records)| records).any(|(of, record)| of == key && covers(record, *dot))
            });
            lost.next().is_none()
        })
    }

    /// What a node has of each key, copies for others included, but for those that it keeps for `except`: they may be on the way to it, and
    /// be given up when it answers.
    fn records(&self, node: usize, except: Option<usize>) -> Vec<(usize, Record)> {
        let whole = |cell: Option<CellView<'_>>| {
            cell.filter(|cell| cell.recovering.is_none()).and_then(|cell| cell.decode_record().ok())
        };
        let own = (0..self.keys.len()).filter_map(|key| Some((key, self.cell(node, key, whole).flatten()?)));
        let mut records: Vec<(usize, Record)> = own.collect();
        let mut after = None;
        while let Ok(page) = read_copies(&**self.nodes[node].disk.inner(), after.as_deref()) {
            for copy in page.copies.iter().filter(|copy| Some(copy.owner) != except.map(node_id)) {
                let is_it = |key: &usize| {
                    let bucket = self.fabric.plan.buckets[self.keys[*key].bucket].id;
                    bucket == copy.bucket && self.keys[*key].key == copy.key
                };
                let key = (0..self.keys.len()).find(is_it);
                records.extend(key.zip(copy.record.decode().ok()));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        records
    }

    /// Whether a node votes everywhere and has what the other owners of its keys have.
    fn has_caught_up(&self, node: usize) -> bool {
        let Some(partitions) = self.nodes[node].partitions() else { return false };
        let own = self.records(node, None);
        (0..self.keys.len()).filter(|key| self.keys[*key].owners.contains(&node)).all(|key| {
            let bucket = self.fabric.plan.buckets[self.keys[key].bucket].id;
            let tree = TreeId { bucket, partition: self.keys[key].partition };
            let owners = self.keys[key].owners.iter().filter(|owner| **owner != node);
            let mut dots = owners.flat_map(|owner| self.dots(*owner, key));
            let has = |dot: Dot| own.iter().any(|(of, record)| *of == key && covers(record, dot));
            !partitions.epochs.is_recovering(tree) && dots.all(has)
        })
    }

    fn dots(&self, node: usize, key: usize) -> Vec<Dot> {
        let dots = |cell: Option<CellView<'_>>| cell?.dots().ok().map(|dots| dots.to_vec());
        self.cell(node, key, dots).flatten().unwrap_or_default()
    }
}

fn covers(record: &Record, dot: Dot) -> bool {
    record.versions().iter().any(|version| version.dot == dot || version.past.contains(dot))
}
