//! The partitioner plug-in: where a key lies in the hash space.

mod ordered;
mod xxh3;

use std::fmt::Debug;

pub use ordered::OrderedPartitioner;
pub use xxh3::Xxh3Partitioner;

use crate::ids::Token;

/// Places keys in the hash space of 2^64 tokens.
///
/// # Contract
///
/// `kv_core::testing::partitioner` has one case per bullet.
///
/// - `P-01`: the token of a key is always the same: in every process, on every platform, in every release.
/// - `P-02`: it depends on the key and on nothing else; if `uniform`, on every byte of the key.
/// - `P-03`: it is defined for every key of 1 to 1,024 bytes.
/// - `P-04`: (`uniform`) keys that differ little are spread evenly over the hash space.
/// - `P-05`: (`ordered`) a larger key never has a smaller token.
pub trait Partitioner: Debug + Send + Sync + 'static {
    /// The name under which the layout remembers the partitioner; it includes everything that changes tokens.
    fn name(&self) -> String;

    /// The token of `key`.
    fn token(&self, key: &[u8]) -> Token;

    /// Whether tokens are spread evenly over the hash space whatever the keys are.
    fn is_uniform(&self) -> bool {
        true
    }

    /// Whether the order of tokens follows the order of keys.
    fn is_ordered(&self) -> bool {
        false
    }
}
