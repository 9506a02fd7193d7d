//! The simulator: a whole cluster of [`crate::machine::NodeMachine`]s with its clients, one queue of events, virtual time, and one seed from
//! which all of it follows; and checkers that judge what the clients saw.
//!
//! A run is replayed by its seed: the same seed gives the same [`Report::trace_hash`]. A cluster may be composed with one's own
//! plug-ins; what they break, the checkers tell.
//!
//! ```
//! use kv_core::testing::simulation::{Simulation, SimulationConfig};
//!
//! let config = SimulationConfig { operations: 200, ..SimulationConfig::default() };
//! let report = Simulation::new(config).seed(7).run();
//! assert!(report.violations.is_empty(), "{:?}", report.violations);
//! ```
// Everything here is made by the simulation itself: an index out of range is a bug of the simulator, which should stop the run.
#![allow(clippy::indexing_slicing)]

mod away;
mod check;
mod client;
mod clocks;
mod config;
mod copies;
mod disk;
mod exchanges;
mod fabric;
mod faults;
mod happening;
mod history;
mod keys;
mod losses;
mod network;
mod node;
mod plan;
mod queue;
mod random;
mod report;
mod retries;
mod run;
mod settle;
mod stores;
mod trace;
mod travel;
mod world;

pub use config::{Faults, SimulationConfig};
pub use report::{Check, Report, Violation};
pub use run::Simulation;

#[cfg(test)]
mod tests;
