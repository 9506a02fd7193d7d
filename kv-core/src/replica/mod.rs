//! The replica: the only part of a node that knows storage. It reads records, and merges mutations into batches.

mod aged;
mod apply;
mod copies;
mod epochs;
mod held;
mod ledger;
mod leftover;
mod membership;
mod meta;
mod minter;
mod mutation;
mod pieces;
mod place;
mod range;
mod read;
mod space;
mod sweep;
mod trees;

pub use apply::{Applied, Finished, apply};
pub use copies::{CopiesPage, StandInCopy, read_copies};
pub use epochs::{Begun, Epochs, Meeting};
pub use ledger::{CopyFigures, Ledger, Ours, Partitions, StandIns};
pub use leftover::leftover;
pub use membership::{Membership, TooFewOthers};
pub use meta::{Meta, StoreIdentity, mark_replacement, open_store, store_layout, store_table};
pub use minter::Minter;
pub use mutation::{FoundRecord, Merge, MergeGroup, Mint, Minted, MintedRecord, Mutation};
pub use range::read_range;
pub use read::{read, read_cell, read_many};
pub use space::{LowSpace, Space};
pub use trees::{Trees, count as count_leaf};
