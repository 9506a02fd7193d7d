//! Digests by which replicas find out in what they differ (Merkle trees: Dynamo section 4.7).
//!
//! A partition of a bucket is cut into [`LEAVES`] ranges of tokens. The digest of a leaf is the sum of the digests of its records, so that a
//! write changes it without a look at its neighbours; the root is the digest of the leaves. A record's digest names its versions, not their
//! pasts: those lose entries at each replica in its own time (see `docs/epochs.md`).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::causality::Dot;
use crate::ids::{BucketId, PartitionId, Token};
use crate::layout::Partitioning;

/// Leaves of a tree: the next six bits of a token behind those that say its partition.
pub const LEAVES: usize = 64;
const LEAF_BITS: u32 = LEAVES.trailing_zeros();

/// A partition of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TreeId {
    /// The bucket.
    pub bucket: BucketId,
    /// The partition.
    pub partition: PartitionId,
}

/// One leaf of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeafId {
    /// The tree.
    pub tree: TreeId,
    /// The leaf, from 0 to [`LEAVES`] - 1.
    pub leaf: u8,
}

impl LeafId {
    /// The leaf in which `token` of `bucket` lies.
    pub fn of(bucket: BucketId, token: Token, partitioning: Partitioning) -> Self {
        let partition = partitioning.partition(token);
        let into = token.0 - partitioning.first_token(partition).0;
        let leaf = into >> (u64::BITS - partitioning.count().trailing_zeros() - LEAF_BITS);
        LeafId { tree: TreeId { bucket, partition }, leaf: leaf as u8 }
    }

    /// The first and the last token of the leaf.
    pub fn tokens(self, partitioning: Partitioning) -> (Token, Token) {
        let width_bits = u64::BITS - partitioning.count().trailing_zeros() - LEAF_BITS;
        let first = partitioning.first_token(self.tree.partition).0 + (u64::from(self.leaf) << width_bits);
        (Token(first), Token(first + ((1 << width_bits) - 1)))
    }
}

/// What a leaf was counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafCount {
    /// The leaf.
    pub leaf: LeafId,
    /// The sum of the digests of its records.
    pub sum: u64,
    /// What the tree said, if it knew.
    pub expected: Option<u64>,
    /// Records in it that can be read.
    pub records: u64,
    /// Records in it that fail their checksums.
    pub damaged: u64,
}

/// The digests of one partition of a bucket, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    sums: [u64; LEAVES],
    /// A bit for each leaf whose sum is that of what is stored.
    known: u64,
}

impl Tree {
    /// The tree of a partition that holds nothing.
    pub const EMPTY: Tree = Tree { sums: [0; LEAVES], known: u64::MAX };
    /// The tree of a partition of which nothing is known.
    pub const UNKNOWN: Tree = Tree { sums: [0; LEAVES], known: 0 };

    /// A tree with these leaves, of which those are known whose bits are set; none unless there are [`LEAVES`].
    pub fn of(sums: &[u64], known: u64) -> Option<Self> {
        Some(Tree { sums: sums.try_into().ok()?, known })
    }

    /// The digests of the leaves.
    pub fn sums(&self) -> &[u64; LEAVES] {
        &self.sums
    }

    /// The digest of a leaf, if it is known.
    pub fn sum(&self, leaf: u8) -> Option<u64> {
        self.sums.get(usize::from(leaf)).copied().filter(|_| self.known & bit(leaf) != 0)
    }

    /// Whether all leaves are known.
    pub fn is_known(&self) -> bool {
        self.known == u64::MAX
    }

    /// The leaves that have to be counted.
    pub fn unknown(&self) -> impl Iterator<Item = u8> + use<> {
        let known = self.known;
        (0..LEAVES as u8).filter(move |leaf| known & bit(*leaf) == 0)
    }

    /// The digest of all leaves; none while some are unknown.
    pub fn root(&self) -> Option<u64> {
        self.is_known().then(|| root(&self.sums))
    }

    /// Takes note that a leaf's digests have changed by `delta`.
    pub fn change(&mut self, leaf: u8, delta: u64) {
        if let Some(sum) = self.sums.get_mut(usize::from(leaf)) {
            *sum = sum.wrapping_add(delta);
        }
    }

    /// Takes note of what a leaf was counted to.
    pub fn counted(&mut self, leaf: u8, sum: u64) {
        if let Some(place) = self.sums.get_mut(usize::from(leaf)) {
            *place = sum;
            self.known |= bit(leaf);
        }
    }

    /// Takes note that a leaf has to be counted.
    pub fn forget(&mut self, leaf: u8) {
        self.known &= !bit(leaf);
    }

    /// The leaves in which this tree differs from another's.
    pub fn differing(&self, other: &[u64; LEAVES]) -> impl Iterator<Item = u8> {
        let pairs = self.sums.iter().zip(other).enumerate();
        pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(leaf, _)| leaf as u8)
    }
}

/// The digest of all leaves of a tree.
pub fn root(sums: &[u64; LEAVES]) -> u64 {
    if sums.iter().all(|sum| *sum == 0) {
        return 0;
    }
    let mut bytes = [0; LEAVES * 8];
    for (to, sum) in bytes.chunks_exact_mut(8).zip(sums) {
        to.copy_from_slice(&sum.to_le_bytes());
    }
    xxh3_64(&bytes)
}

/// The digest of a record with versions of these names, for the sum of its leaf; 0 for one without versions, as for none.
///
/// Seeded with the secret of the cluster, so that nobody can put records whose digests cancel each other out.
pub fn digest(secret: &[u8; 16], bucket: BucketId, key: &[u8], dots: &[Dot]) -> u64 {
    if dots.is_empty() {
        return 0;
    }
    let mut seed: SmallVec<[u8; 96]> = SmallVec::from_slice(secret);
    seed.extend_from_slice(&bucket.0.to_le_bytes());
    seed.extend_from_slice(key);
    let mut names: SmallVec<[u8; 96]> = SmallVec::with_capacity(dots.len() * 24);
    for dot in dots {
        for number in [dot.actor.incarnation.0, dot.actor.birth, dot.counter] {
            names.extend_from_slice(&number.to_le_bytes());
        }
    }
    xxh3_64_with_seed(&names, xxh3_64(&seed))
}

const fn bit(leaf: u8) -> u64 {
    1 << leaf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::Actor;
    use crate::ids::Incarnation;

    #[test]
    fn leaves_cover_the_hash_space_in_order() {
        for count in [1, 2, 64, 1 << 16] {
            let partitioning = Partitioning::new(count).unwrap();
            let mut next = Some(Token(0));
            for partition in 0..count {
                for leaf in [0, 1, 31, 63] {
                    let id = LeafId {
                        tree: TreeId { bucket: BucketId(3), partition: PartitionId(partition) },
                        leaf,
                    };
                    let (first, last) = id.tokens(partitioning);
                    assert_eq!(LeafId::of(BucketId(3), first, partitioning), id);
                    assert_eq!(LeafId::of(BucketId(3), last, partitioning), id);
                    if leaf == 0 {
                        assert_eq!(next, Some(first));
                    } else if leaf == 63 {
                        next = last.0.checked_add(1).map(Token);
                    }
                }
            }
            assert_eq!(next, None);
        }
    }

    #[test]
    fn a_digest_tells_keys_buckets_names_and_clusters_apart() {
        let dot = |counter| Dot { actor: Actor { incarnation: Incarnation(5), birth: 1 }, counter };
        let all = [
            digest(&[0; 16], BucketId(1), b"key", &[dot(1)]),
            digest(&[0; 16], BucketId(1), b"key", &[dot(2)]),
            digest(&[0; 16], BucketId(1), b"key", &[dot(1), dot(2)]),
            digest(&[0; 16], BucketId(1), b"yek", &[dot(1)]),
            digest(&[0; 16], BucketId(2), b"key", &[dot(1)]),
            digest(&[1; 16], BucketId(1), b"key", &[dot(1)]),
            digest(&[0; 16], BucketId(1), b"key", &[]),
        ];
        let mut different = all.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[6], 0);
    }

    #[test]
    fn a_tree_says_what_it_does_not_know_and_where_it_differs() {
        let (mut ours, mut theirs) = (Tree::EMPTY, Tree::EMPTY);
        assert_eq!(ours.root(), Some(0));
        ours.change(3, 7);
        theirs.change(3, 7);
        theirs.change(9, 1);
        assert_eq!(ours.differing(theirs.sums()).collect::<Vec<_>>(), [9]);
        assert_ne!(ours.root(), theirs.root());
        theirs.change(9, 0_u64.wrapping_sub(1));
        assert_eq!(ours.root(), theirs.root());
        ours.forget(3);
        assert_eq!((ours.root(), ours.unknown().collect::<Vec<_>>()), (None, vec![3]));
        ours.counted(3, 7);
        assert_eq!(ours.root(), theirs.root());
        assert_eq!(Tree::UNKNOWN.unknown().count(), LEAVES);
    }
}
