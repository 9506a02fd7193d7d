//! Storage engines for `kv_core`: [`LmdbStorage`], a memory-mapped B+tree, and [`logged`], a commit log before any of them.
//!
//! ```
//! use kv_core::storage::{Batch, Durability, Storage};
//! use kv_storage::{LmdbOptions, LmdbStorage};
//!
//! # fn main() -> Result<(), kv_core::error::Error> {
//! # let parent = tempfile::tempdir().expect("a temporary directory");
//! # let directory = parent.path().join("store");
//! let storage = LmdbStorage::open(&directory, &LmdbOptions::default())?;
//! let mut batch = Batch::new();
//! batch.put(b"key", &[b"value"]);
//! storage.write(&batch, Durability::Synced)?;
//!
//! let mut value = Vec::new();
//! assert!(storage.get(b"key", &mut value)?);
//! assert_eq!(value, b"value");
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod errors;
mod lmdb;
mod lock;
mod logged;

pub use lmdb::{Creation, LmdbOptions, LmdbStorage, read_through};
pub use logged::{LogOptions, LoggedStorage, logged};
