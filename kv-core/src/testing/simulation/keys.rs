use crate::ids::{PartitionId, Token};
use crate::key::{Key, StorageKey};
use crate::testing::simulation::plan::Plan;
use crate::view::View;

/// A key of the run and where it lies.
#[derive(Debug)]
pub(super) struct SimulatedKey {
    pub(super) key: Key,
    pub(super) token: Token,
    /// Its place among the buckets of the plan.
    pub(super) bucket: usize,
    pub(super) storage_key: StorageKey,
    pub(super) partition: PartitionId,
    /// Indexes of the nodes that own it, in the order of preference.
    pub(super) owners: Vec<usize>,
}

/// The keys of a run: half in the strict bucket, the others in turn.
pub(super) fn keys(plan: &Plan, view: &View) -> Vec<SimulatedKey> {
    (0..plan.keys)
        .map(|index| {
            let bucket = [0, 1, 0, 2][index % 4];
            let planned = &plan.buckets[bucket];
            let key = match Key::try_from(format!("key-{index}").as_str()) {
                Ok(key) => key,
                Err(error) => unreachable!("{error}"),
            };
            let token = view.token(&key);
            let owners = view.layout.owners(token, planned.n.into());
            SimulatedKey {
                storage_key: StorageKey::new(planned.id, token, key.as_bytes()),
                partition: view.layout.partitioning().partition(token),
                owners: owners.iter().map(|node| node.0 as usize - 1).collect(),
                key,
                token,
                bucket,
            }
        })
        .collect()
}
