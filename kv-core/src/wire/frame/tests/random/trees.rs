use proptest::collection::vec;
use proptest::prelude::*;

use crate::ids::{BucketId, Epoch, PartitionId};
use crate::record::{Provenance, Sinces};
use crate::tree::{LeafCount, LeafId, TreeId};
use crate::wire::frame::tests::random::kind;
use crate::wire::{ClearItem, CompareAnswer, CompareItem, Standing};

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

fn standing() -> impl Strategy<Value = Standing> {
    let standing = (any::<u64>(), any::<bool>(), any::<u64>(), any::<bool>());
    standing.prop_map(|(epoch, is_complete, cleared, is_wanted)| Standing {
        epoch: Epoch(epoch),
        is_complete,
        cleared: Epoch(cleared),
        is_wanted,
    })
}

pub(super) fn provenance() -> impl Strategy<Value = Provenance> {
    let provenance = (any::<u64>(), vec(any::<u64>(), 0..4));
    provenance.prop_map(|(epoch, sinces)| Provenance {
        epoch: Epoch(epoch),
        sinces: Sinces::from_entries(sinces.into_iter().map(Epoch).collect()),
    })
}

pub(super) fn clear_item() -> impl Strategy<Value = ClearItem> {
    (tree(), any::<u64>()).prop_map(|(tree, epoch)| ClearItem { tree, epoch: Epoch(epoch) })
}

pub(super) fn compare_item() -> impl Strategy<Value = CompareItem> {
    let item = (tree(), standing(), any::<u64>());
    item.prop_map(|(tree, standing, root)| CompareItem { tree, standing, root })
}

pub(super) fn compare_answer() -> impl Strategy<Value = CompareAnswer> {
    prop_oneof![
        standing().prop_map(CompareAnswer::Same),
        (standing(), vec(any::<u64>(), 0..70))
            .prop_map(|(theirs, sums)| CompareAnswer::Differs(theirs, sums)),
        Just(CompareAnswer::Unknown),
        kind().prop_map(CompareAnswer::Refused),
    ]
}
