//! The conflict-resolver plug-in: what becomes of concurrent versions of one key.

mod combine_with;
mod keep_siblings;
mod last_write_wins;

use std::fmt::Debug;

use bytes::Bytes;
pub use combine_with::CombineWith;
pub use keep_siblings::KeepSiblings;
pub use last_write_wins::LastWriteWins;

use crate::causality::{Dot, Stamp};

/// One concurrent version, as a resolver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The name of the write; unique, so that a choice can always be made total.
    pub dot: Dot,
    /// The stamp of the value. Above the stamps of everything that the write replaces.
    pub stamp: Stamp,
    /// The stamp of the last change of the expiry alone, or `stamp`.
    pub expiry_stamp: Stamp,
    /// The value, or none for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Decides what becomes of concurrent versions of one key.
///
/// `keep` runs where replicas merge, on every replica on its own, and may therefore only choose among what is there.
/// `combine` runs in the coordinator of a get, whose caller sees the combined value, and of a put that overwrites; its result is
/// stored only as an ordinary put whose context names its parts, so it may make a new value.
///
/// # Contract
///
/// `kv_core::testing::resolver` has one case per bullet.
///
/// - `R-01`: `keep` keeps at least one candidate, and is a function of the set: order and repetition do not matter.
/// - `R-02`: `keep` in steps is `keep` at once: Keep(Keep(S) ∪ T) = Keep(S ∪ T).
/// - `R-03`: `keep` respects causality: records of any causal history, merged in any order and grouping, become equal. A choice that
///   follows the stamps does; a choice by value or size does not, and belongs in `combine`.
/// - `R-04`: `combine` is a function of the set of values: order and repetition do not matter (a cyclic preference fails).
/// - `R-05`: neither panics on any value.
pub trait ConflictResolver: Debug + Send + Sync + 'static {
    /// The name under which buckets ask for the resolver.
    fn name(&self) -> String;

    /// Says for each of the candidates, two or more, whether it stays: `kept` has one `true` per candidate on entry, and the
    /// resolver sets to `false` those that go.
    fn keep(&self, candidates: &[Candidate<'_>], kept: &mut [bool]) {
        let _ = (candidates, kept);
    }

    /// Makes one value of the live values of two or more concurrent versions, or none to show them as siblings.
    fn combine(&self, values: &[&[u8]]) -> Option<Bytes> {
        let _ = values;
        None
    }

    /// Whether a put replaces by its stamp alone, so that no read is made before it.
    fn replaces_by_stamp(&self) -> bool {
        false
    }
}
