//! What people are told of epochs.

use crate::ids::PartitionId;
use crate::replica::epochs::Epochs;
use crate::tree::TreeId;
use crate::view::{Bucket, View};
use crate::wire::{EpochStatus, PartitionStatus};

impl Epochs {
    /// How each partition of a bucket is getting on of which the node of `view` is an owner; with whom it was exchanged is left open.
    pub fn of_bucket(&self, view: &View, bucket: &Bucket) -> Vec<PartitionStatus> {
        let partitioning = view.layout.partitioning();
        let inner = self.lock();
        let partitions = (0..partitioning.count()).map(PartitionId);
        let owned = partitions.filter(|partition| {
            view.owners(bucket, partitioning.first_token(*partition)).contains(&view.node())
        });
        let status = owned.map(|partition| {
            let stored = inner.stored(TreeId { bucket: bucket.id, partition });
            PartitionStatus {
                partition,
                epoch: stored.epoch,
                is_recovering: stored.recovering.is_some(),
                ageing_leaves: stored.ages.count_ones() as u8,
                exchanged: Vec::new(),
            }
        });
        status.collect()
    }

    /// How the partitions are getting on of which the node of `view` is an owner.
    pub fn figures(&self, view: &View) -> EpochStatus {
        let partitioning = view.layout.partitioning();
        let inner = self.lock();
        let mut status = EpochStatus::default();
        for bucket in view.table().buckets().filter_map(|(_, id, _)| view.bucket_by_id(id)) {
            for partition in (0..partitioning.count()).map(PartitionId) {
                if !view.owners(bucket, partitioning.first_token(partition)).contains(&view.node()) {
                    continue;
                }
                let stored = inner.stored(TreeId { bucket: bucket.id, partition });
                let is_first = status.partitions == 0;
                status.partitions += 1;
                status.lowest = if is_first { stored.epoch } else { status.lowest.min(stored.epoch) };
                status.highest = status.highest.max(stored.epoch);
                status.recovering += u64::from(stored.recovering.is_some());
                status.ageing += u64::from(stored.ages != 0);
            }
        }
        status
    }
}
