use proptest::collection::vec;
use proptest::prelude::*;

use crate::ids::{BucketId, Epoch, PartitionId};
use crate::tree::{LeafCount, LeafId, TreeId};
use crate::wire::frame::tests::random::kind;
use crate::wire::{CompareAnswer, CompareItem};

fn tree() -> impl Strategy<Value = TreeId> {
    let ids = (any::<u32>(), any::<u32>());
    ids.prop_map(|(bucket, partition)| TreeId { bucket: BucketId(bucket), partition: PartitionId(partition) })
}

pub(super) fn leaf() -> impl Strategy<Value = LeafId> {
    (tree(), any::<u8>()).prop_map(|(tree, leaf)| LeafId { tree, leaf })
}

pub(super) fn leaf_count() -> impl Strategy<Value = LeafCount> {
    let numbers = (any::<u64>(), any::<Option<u64>>(), any::<u64>(), any::<u64>());
    (leaf(), numbers).prop_map(|(leaf, (sum, expected, records, damaged))| LeafCount {
        leaf,
        sum,
        expected,
        records,
        damaged,
    })
}

pub(super) fn compare_item() -> impl Strategy<Value = CompareItem> {
    let item = (tree(), any::<u64>(), any::<u64>());
    item.prop_map(|(tree, epoch, root)| CompareItem { tree, epoch: Epoch(epoch), root })
}

pub(super) fn compare_answer() -> impl Strategy<Value = CompareAnswer> {
    prop_oneof![
        Just(CompareAnswer::Same),
        vec(any::<u64>(), 0..70).prop_map(CompareAnswer::Differs),
        Just(CompareAnswer::Unknown),
        kind().prop_map(CompareAnswer::Refused),
    ]
}
