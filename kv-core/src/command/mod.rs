//! What clients ask of a node and what they are told.

mod answer;
mod content;
mod explain;
mod request;
mod scan;

pub use answer::{Ack, GetAnswer, PutApplied, PutResult, Sibling};
pub use content::{Content, Expires};
pub use explain::{Decision, Explain, ExplainedReplica, ExplainedVersion, ReplicaState};
pub use request::{Attempt, Get, GetMany, Put, PutMany, ReadOptions, ReadRepair, Replace, WriteOptions};
pub use scan::{Scan, ScanAnswer, ScanEntry, ScanPosition};
