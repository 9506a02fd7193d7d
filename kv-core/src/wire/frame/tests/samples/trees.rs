use crate::error::ErrorKind;
use crate::ids::{BucketId, Epoch, NodeId, PartitionId};
use crate::tree::{LeafCount, LeafId, TreeId};
use crate::wire::{CompareAnswer, CompareItem, RepairStatus};

fn tree() -> TreeId {
    TreeId { bucket: BucketId(2), partition: PartitionId(300) }
}

pub(super) fn leaf() -> LeafId {
    LeafId { tree: tree(), leaf: 63 }
}

pub(super) fn leaf_count() -> LeafCount {
    LeafCount { leaf: leaf(), sum: 1 << 63, expected: Some(7), records: 300, damaged: 1 }
}

pub(super) fn compare_item() -> CompareItem {
    CompareItem { tree: tree(), epoch: Epoch(1), root: u64::MAX }
}

/// One answer of every kind.
pub(super) fn compare_answers() -> Vec<CompareAnswer> {
    vec![
        CompareAnswer::Same,
        CompareAnswer::Differs(vec![0, 1, u64::MAX]),
        CompareAnswer::Unknown,
        CompareAnswer::Refused(ErrorKind::UnknownBucket),
    ]
}

pub(super) fn repair_status() -> RepairStatus {
    RepairStatus {
        rounds_begun: 3,
        rounds_ended: 2,
        peer: Some(NodeId(4)),
        trees_left: 300,
        exchanges: 1_000,
        failures: 1,
        keys_repaired: 17,
        keys_failed: 2,
        pairs: 600,
        oldest_ms: 70_000,
    }
}
