//! Load generation: what is asked ([`Workload`]), when ([`Pace`]), and what came of it ([`Measured`]).
//!
//! A closed loop has a number of clients that each wait for an answer before they ask again: it finds the throughput, and hides
//! stalls, during which it asks nothing. An open loop asks at intended times whatever happens, and counts latency from those
//! times: it finds the latency at a rate (Tene's "coordinated omission"; wrk2).

mod workload;
mod zipf;

mod measured;

mod drive;
mod pace;

mod report;

pub(crate) use drive::{Plan, fill, run};
pub(crate) use measured::{Measured, Outcome};
pub(crate) use pace::Pace;
pub(crate) use report::Report;
pub(crate) use workload::{Distribution, Operation, Workload};
