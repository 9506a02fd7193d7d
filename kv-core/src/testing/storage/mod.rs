//! Conformance suite of the storage plug-in, and the reference implementation.
//!
//! An engine passes when [`conformance`] passes for a factory of its stores:
//!
//! ```
//! use std::sync::Arc;
//! use kv_core::testing::storage::{MemoryFactory, conformance};
//!
//! conformance(Arc::new(MemoryFactory)).assert();
//! ```

mod factory;

mod report;
mod suite;

mod cases;

#[cfg(test)]
mod mutants;

pub use factory::{MemoryFactory, StorageFactory, StoragePlace};
pub use report::{CaseReport, Outcome, Report};
pub use suite::conformance;

pub use crate::storage::MemoryStorage;
