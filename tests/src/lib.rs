//! What the tests with real processes share: `kv-server` processes, clusters of them, and a load that knows what has to be there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub mod epochs;
pub mod executable;
pub mod held;
pub mod ports;
pub mod process;
pub mod tools;

pub mod cluster;
pub mod expected;
pub mod load;
pub mod nemesis;
pub mod resp;
pub mod scenario;
pub mod unihan;
