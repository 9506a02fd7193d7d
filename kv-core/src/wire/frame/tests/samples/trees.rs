use crate::error::ErrorKind;
use crate::ids::{BucketId, Epoch, NodeId, PartitionId};
use crate::record::{Provenance, Sinces};
use crate::tree::{LeafCount, LeafId, TreeId};
use crate::wire::{ClearItem, CompareAnswer, CompareItem, PartitionStatus, RepairStatus, Standing};

fn tree() -> TreeId {
    TreeId { bucket: BucketId(2), partition: PartitionId(300) }
}

pub(super) fn leaf() -> LeafId {
    LeafId { tree: tree(), leaf: 63 }
}

pub(super) fn leaf_count() -> LeafCount {
    LeafCount { leaf: leaf(), sum: 1 << 63, expected: Some(7), records: 300, damaged: 1 }
}

fn standing() -> Standing {
    Standing { epoch: Epoch(300), is_complete: true, cleared: Epoch(299), is_wanted: true }
}

pub(super) fn provenance() -> Provenance {
    Provenance { epoch: Epoch(300), sinces: Sinces::from_entries(vec![Epoch(7), Epoch::NONE]) }
}

pub(super) fn clear_item() -> ClearItem {
    ClearItem { tree: tree(), epoch: Epoch(300) }
}

pub(super) fn compare_item() -> CompareItem {
    CompareItem { tree: tree(), standing: standing(), root: u64::MAX }
}

/// One answer of every kind.
pub(super) fn compare_answers() -> Vec<CompareAnswer> {
    vec![
        CompareAnswer::Same(standing()),
        CompareAnswer::Differs(standing(), vec![0, 1, u64::MAX]),
        CompareAnswer::Unknown,
        CompareAnswer::Refused(ErrorKind::UnknownBucket),
    ]
}

pub(in crate::wire::frame::tests) fn partition_status() -> PartitionStatus {
    PartitionStatus {
        partition: PartitionId(300),
        epoch: Epoch(300),
        is_recovering: true,
        ageing_leaves: 64,
        exchanged: vec![(NodeId(1), 0), (NodeId(300), 70_000)],
    }
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
