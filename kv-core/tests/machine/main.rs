//! What a node machine does, seen from outside: a few of them over stores in memory, with messages in a queue and time that stands still
//! until a test moves it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails ends its test")]

mod batches;
mod cluster;
mod damage;
mod deadlines;
mod door;
mod epochs;
mod exchanges;
mod expiry;
mod forwarding;
mod gets;
mod lives;
#[cfg(feature = "mutants")]
mod mutants;
mod puts;
mod ranges;
mod recovery;
mod retries;
mod scans;
mod space;
mod stand_ins;
mod store;
