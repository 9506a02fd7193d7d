//! What is left of a store when its process is killed, or when the device refuses a write: with real processes.
//!
//! The writing process is this test executable itself, started with `KV_CRASH_DIRECTORY` set (see `writer`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod batches;
mod engine;
mod random;
mod writer;

mod child;
mod model;
mod strace;

mod device_errors;
mod kill_points;
mod logged;
mod random_kills;

use std::path::Path;

use tempfile::TempDir;

/// A directory in memory where there is one: thousands of stores are made and opened, and a kill loses no page cache.
fn directory() -> TempDir {
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir()
        && let Ok(directory) = tempfile::tempdir_in(shared_memory)
    {
        return directory;
    }
    tempfile::tempdir().expect("a temporary directory")
}
