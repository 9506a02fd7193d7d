//! Buckets: named sets of keys with properties of their own, in a table that nodes merge.

mod properties;
mod quorum;
mod table;

pub use properties::{BucketProperties, QuorumMode};
pub use quorum::Quorum;
pub use table::{BucketEntry, BucketTable};
