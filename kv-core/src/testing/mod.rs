//! Conformance suites for the five traits, the reference storage, and the simulator.

pub mod partitioner;
pub mod replication;
pub mod report;
pub mod resolver;
pub mod simulation;
pub mod storage;
pub mod transport;
