//! A commit log and a memory table before any storage.

mod count;
mod inner;
mod log;
mod marker;
mod open;
mod options;
mod record;
mod scan;
mod segment;
mod spares;
mod storage;
mod table;

pub use options::LogOptions;
pub use storage::{LoggedStorage, logged};
