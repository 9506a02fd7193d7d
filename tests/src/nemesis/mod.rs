//! Faults with real processes: `kv-server` nodes in networks and on disks of their own, clients that take down what they asked and were
//! told, faults drawn from a seed, and a judge (docs/nemesis.md).

pub mod clocks;
pub mod command;
pub mod commands;
pub mod control;
pub mod disk;
pub mod history;
pub mod judge;
pub mod leftovers;
pub mod network;
pub mod recorder;
pub mod report;
pub mod rest;
pub mod run;
pub mod schedule;
pub mod tracer;
pub mod workload;
pub mod world;
