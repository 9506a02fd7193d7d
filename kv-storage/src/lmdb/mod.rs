//! Storage on LMDB, through heed.

mod options;
mod storage;

mod check;

mod environment;
mod open;

mod format;

mod errors;
mod free_space;

pub use check::read_through;
pub use options::{Creation, LmdbOptions};
pub use storage::LmdbStorage;
