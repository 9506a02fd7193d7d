//! The node as a state machine: events in, effects out. No I/O, no clock, no randomness.
//!
//! [`NodeMachine`] coordinates client operations. Its driver (the runtime of `kv-net`, or the simulator) turns the world into [`Event`]s and
//! carries out the [`Effect`]s. What needs no state is a function beside it: [`prepare`] checks commands, [`resolve`] merges what replicas answered,
//! [`local_get`] serves a get that one local record answers, and [`accept_writes`] checks a peer's records.

mod accept;
mod anti_entropy;
mod delivery;
mod door;
mod draft;
mod effect;
mod event;
mod forwards;
mod get;
mod health;
mod local_get;
mod many;
mod node;
mod operation;
mod outbox;
pub mod prepare;
mod put;
mod read_quorum;
mod repairs;
mod resolve;
mod scan;
mod show;
mod stats;
mod step;
mod timers;
mod write_quorum;

pub use accept::accept_writes;
pub use door::{Admitted, Door};
pub use effect::{CallToken, Effect, LocalRead, Outcome};
pub use event::{Event, PeerAnswer};
pub use health::{Health, PeerHealth};
pub use local_get::local_get;
pub use node::{Life, NodeMachine};
pub use prepare::{PreparedGet, PreparedPut, PreparedScan, Target};
pub use resolve::{Resolution, ResolveRequest, resolve};
pub use show::{ShowRequest, Shown, show};
pub use stats::MachineStats;
