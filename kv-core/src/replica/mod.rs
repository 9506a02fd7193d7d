//! The replica: the only part of a node that knows storage. It reads records, and merges mutations into batches.

mod apply;
mod copies;
mod held;
mod ledger;
mod leftover;
mod meta;
mod minter;
mod mutation;
mod range;
mod read;
mod trees;

pub use apply::{Applied, Finished, apply};
pub use copies::{CopiesPage, StandInCopy, read_copies};
pub use ledger::{CopyFigures, Ledger, StandIns};
pub use leftover::leftover;
pub use meta::{Meta, StoreIdentity, open_store, store_layout, store_table};
pub use minter::Minter;
pub use mutation::{Merge, MergeGroup, Mint, Minted, Mutation};
pub use range::read_range;
pub use read::{read, read_cell, read_many};
pub use trees::{Trees, count as count_leaf};
