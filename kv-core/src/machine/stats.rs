use std::collections::BTreeMap;

use crate::command::{GetAnswer, PutResult, ScanAnswer};
use crate::error::{Error, ErrorKind};
use crate::histogram::{Histogram, MICROSECONDS, VALUES};

/// What a machine did since it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineStats {
    /// Gets that ended with an answer.
    pub gets_answered: u64,
    /// Gets that failed.
    pub gets_failed: u64,
    /// Puts and deletes that were applied.
    pub puts_applied: u64,
    /// Puts and deletes that were not.
    pub puts_not_applied: u64,
    /// Puts and deletes whose outcome is unknown.
    pub puts_indeterminate: u64,
    /// Pages of scans that were answered.
    pub scans_answered: u64,
    /// Pages of scans that failed.
    pub scans_failed: u64,
    /// Records sent to owners that were behind, this node among them.
    pub repairs: u64,
    /// Records that reads found owners to lack and that were not sent, because the same was under way to that owner, or too many were.
    pub repairs_left_out: u64,
    /// Copies for absent owners that those have committed.
    pub copies_delivered: u64,
    /// Copies for absent owners that those refused because they were read too long ago: delivered before, or counted by nobody.
    pub copies_stale: u64,
    /// Copies for absent owners that could not be read any more and were dropped.
    pub copies_damaged: u64,
    /// Damaged records that owners reported to gets of this node, itself among them.
    pub damages_seen: u64,
    /// Puts handed to an owner.
    pub forwarded: u64,
    /// Operations refused because too many were under way.
    pub shed: u64,
    /// Operations that did not end well, by the kind of their error.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Microseconds from the event that began a get to the one that ended it.
    pub get_us: Histogram,
    /// The same for puts and deletes.
    pub put_us: Histogram,
    /// The same for pages of scans.
    pub scan_us: Histogram,
    /// How many concurrent values the gets that were answered showed.
    pub values: Histogram,
}

impl Default for MachineStats {
    fn default() -> Self {
        MachineStats {
            gets_answered: 0,
            gets_failed: 0,
            puts_applied: 0,
            puts_not_applied: 0,
            puts_indeterminate: 0,
            scans_answered: 0,
            scans_failed: 0,
            repairs: 0,
            repairs_left_out: 0,
            copies_delivered: 0,
            copies_stale: 0,
            copies_damaged: 0,
            damages_seen: 0,
            forwarded: 0,
            shed: 0,
            errors: BTreeMap::new(),
            get_us: Histogram::new(MICROSECONDS),
            put_us: Histogram::new(MICROSECONDS),
            scan_us: Histogram::new(MICROSECONDS),
            values: Histogram::new(VALUES),
        }
    }
}

impl MachineStats {
    pub(super) fn get_ended(&mut self, result: &Result<GetAnswer, Error>) {
        match result {
            Ok(answer) => {
                self.gets_answered += 1;
                self.values.observe(answer.values.len() as u64);
            }
            Err(error) => {
                self.gets_failed += 1;
                self.failed(error);
            }
        }
    }

    pub(super) fn put_ended(&mut self, result: &PutResult) {
        match result {
            PutResult::Applied(_) => self.puts_applied += 1,
            PutResult::NotApplied(error) => {
                self.puts_not_applied += 1;
                self.failed(error);
            }
            PutResult::Indeterminate(error) => {
                self.puts_indeterminate += 1;
                self.failed(error);
            }
        }
    }

    pub(super) fn scan_ended(&mut self, result: &Result<ScanAnswer, Error>) {
        match result {
            Ok(_) => self.scans_answered += 1,
            Err(error) => {
                self.scans_failed += 1;
                self.failed(error);
            }
        }
    }

    fn failed(&mut self, error: &Error) {
        *self.errors.entry(error.kind()).or_default() += 1;
    }
}
