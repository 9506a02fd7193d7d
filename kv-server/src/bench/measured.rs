use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use kv_core::error::ErrorKind;

/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A read found a value.
    Found,
    /// A read found that there is none.
    NotFound,
    /// A write was applied.
    Written,
    /// It failed, and nothing was written.
    Failed(ErrorKind),
    /// A write may have happened.
    Indeterminate(ErrorKind),
}

impl Outcome {
    /// Whether it is what was asked for.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Outcome::Found | Outcome::NotFound | Outcome::Written)
    }
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Latencies of reads that were answered, in microseconds.
    pub(crate) gets: Histogram<u64>,
    /// Latencies of writes that were applied, in microseconds.
    pub(crate) puts: Histogram<u64>,
    /// Reads that found nothing.
    pub(crate) not_found: u64,
    /// Failures, by kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// Writes whose outcome is unknown, by what went wrong.
    pub(crate) indeterminate: BTreeMap<&'static str, u64>,
    /// Requests of an open loop that were due and never began.
    pub(crate) unstarted: u64,
    /// Requests of a closed loop that were answered after its end: they are no part of what was done a second.
    pub(crate) late: u64,
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Measured {
            gets: Histogram::new(DIGITS)?,
            puts: Histogram::new(DIGITS)?,
            not_found: 0,
            errors: BTreeMap::new(),
            indeterminate: BTreeMap::new(),
            unstarted: 0,
            late: 0,
        })
    }

    /// Takes in one request.
    pub(crate) fn record(&mut self, outcome: Outcome, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX >> 1).max(1);
        // The histograms resize themselves: there is nothing that could fail.
        let record = |histogram: &mut Histogram<u64>| histogram.record(micros).unwrap_or_default();
        match outcome {
            Outcome::Found => record(&mut self.gets),
            Outcome::NotFound => {
                self.not_found += 1;
                record(&mut self.gets);
            }
            Outcome::Written => record(&mut self.puts),
            Outcome::Failed(kind) => *self.errors.entry(kind.name()).or_default() += 1,
            Outcome::Indeterminate(kind) => *self.indeterminate.entry(kind.name()).or_default() += 1,
        }
    }

    /// Takes in what another worker measured.
    pub(crate) fn merge(&mut self, other: &Measured) {
        // Both resize themselves and have the same digits: there is nothing that could fail.
        let _ = self.gets.add(&other.gets);
        let _ = self.puts.add(&other.puts);
        self.not_found += other.not_found;
        self.unstarted += other.unstarted;
        self.late += other.late;
        for (mine, theirs) in
            [(&mut self.errors, &other.errors), (&mut self.indeterminate, &other.indeterminate)]
        {
            for (kind, count) in theirs {
                *mine.entry(kind).or_default() += count;
            }
        }
    }

    /// Whether everything that was asked was answered, and anything was: only then are the latencies a figure.
    pub(crate) fn is_figure(&self) -> bool {
        let answered = self.gets.len() + self.puts.len();
        self.errors.is_empty() && self.indeterminate.is_empty() && self.unstarted == 0 && answered > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_request_makes_the_run_no_figure() {
        let mut measured = Measured::new().unwrap();
        for outcome in [Outcome::Found, Outcome::NotFound, Outcome::Written] {
            measured.record(outcome, Duration::from_millis(1));
        }
        assert!(measured.is_figure(), "a key that is not there is an answer");
        let bad =
            [Outcome::Failed(ErrorKind::Unavailable), Outcome::Indeterminate(ErrorKind::DeadlineExceeded)];
        for outcome in bad {
            let mut measured = measured.clone();
            measured.record(outcome, Duration::from_millis(1));
            assert!(!measured.is_figure());
            assert_eq!(measured.gets.len() + measured.puts.len(), 3, "its latency does not count");
        }
    }

    #[test]
    fn merging_adds_everything() {
        let mut one = Measured::new().unwrap();
        one.record(Outcome::Failed(ErrorKind::Unavailable), Duration::ZERO);
        one.record(Outcome::Written, Duration::from_secs(100));
        let mut other = one.clone();
        other.unstarted = 2;
        one.merge(&other);
        assert_eq!((one.errors["Unavailable"], one.unstarted, one.puts.len()), (2, 2, 2));
        assert!(one.puts.max() >= 99_000_000);
    }
}
