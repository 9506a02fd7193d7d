//! What clients ask of a node and what they are told.

mod answer;
mod explain;
mod request;
mod scan;

pub use answer::{Ack, GetAnswer, PutApplied, PutResult, Sibling};
pub use explain::{Decision, Explain, ExplainedReplica, ExplainedVersion, ReplicaState};
pub use request::{Get, GetMany, Put, PutMany, ReadOptions, ReadRepair, Replace, WriteOptions};
pub use scan::{Scan, ScanAnswer, ScanEntry, ScanPosition};
