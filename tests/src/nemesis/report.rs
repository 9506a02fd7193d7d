//! What a history comes to, in figures.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::nemesis::history::{Event, Injected, Outcome, Run};

/// Operations and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Puts and deletes that are stored, or found nothing to delete.
    pub applied: u64,
    /// Those that have not happened.
    pub not_applied: u64,
    /// Those of unknown end.
    pub indeterminate: u64,
    /// Gets that were answered.
    pub answered: u64,
    /// Gets that failed.
    pub failed: u64,
}

impl Counts {
    /// All.
    pub fn operations(self) -> u64 {
        self.applied + self.not_applied + self.indeterminate + self.answered + self.failed
    }

    /// Those that succeeded.
    pub fn succeeded(self) -> u64 {
        self.applied + self.answered
    }

    fn share(self) -> String {
        match self.operations() {
            0 => "none".to_string(),
            all => format!("{:.2} % of {all}", self.succeeded() as f64 * 100.0 / all as f64),
        }
    }
}

/// An operation, as far as figures need it.
struct Operation<'a> {
    bucket: &'a str,
    entry: Option<usize>,
    begin_us: u64,
    end_us: u64,
    count: fn(&mut Counts),
    succeeded: bool,
}

fn operation(event: &Event) -> Option<Operation<'_>> {
    match event {
        Event::Put(put) => {
            let count: fn(&mut Counts) = match put.outcome {
                Outcome::Applied | Outcome::NothingToDelete => |counts| counts.applied += 1,
                Outcome::NotApplied => |counts| counts.not_applied += 1,
                Outcome::Indeterminate => |counts| counts.indeterminate += 1,
            };
            let succeeded = matches!(put.outcome, Outcome::Applied | Outcome::NothingToDelete);
            let (begin_us, end_us) = (put.begin_us, put.end_us);
            Some(Operation { bucket: &put.bucket, entry: put.entry, begin_us, end_us, count, succeeded })
        }
        Event::Get(get) if !get.last => {
            let succeeded = get.values.is_some();
            let count: fn(&mut Counts) =
                if succeeded { |counts| counts.answered += 1 } else { |counts| counts.failed += 1 };
            let (begin_us, end_us) = (get.begin_us, get.end_us);
            Some(Operation { bucket: &get.bucket, entry: get.entry, begin_us, end_us, count, succeeded })
        }
        _ => None,
    }
}

/// The figures of a run.
#[derive(Debug)]
pub struct Figures {
    /// All operations.
    pub counts: Counts,
    /// Microseconds of those that succeeded before, during and after the faults.
    pub latency: [Histogram<u64>; 3],
    /// Operations during the faults, with what was available of them, in words.
    pub available: Vec<String>,
}

/// What a history comes to, if faults are noticed within `detection`.
pub fn figures(run: &Run, history: &[Event], detection: Duration) -> Figures {
    let mut counts = Counts::default();
    let mut latency = [(); 3].map(|()| Histogram::new(3).unwrap());
    let phase = |at: u64| match at {
        at if at < run.faults_begin_us => 0,
        at if at < run.faults_end_us => 1,
        _ => 2,
    };
    for operation in history.iter().filter_map(operation) {
        (operation.count)(&mut counts);
        if operation.succeeded {
            let took = operation.end_us.saturating_sub(operation.begin_us);
            latency[phase(operation.begin_us)].record(took).unwrap();
        }
    }
    Figures { counts, latency, available: available(run, history, detection) }
}

/// For each bucket, of the operations that clients began while faults lasted that had been noticed, how many succeeded.
fn available(run: &Run, history: &[Event], detection: Duration) -> Vec<String> {
    let faults: Vec<&Injected> = history
        .iter()
        .filter_map(|event| match event {
            Event::Fault(fault) => Some(fault),
            _ => None,
        })
        .collect();
    let detection = detection.as_micros() as u64;
    let mut lines = Vec::new();
    for bucket in &run.buckets {
        let (mut through_others, mut through_all) = (Counts::default(), Counts::default());
        for operation in history.iter().filter_map(operation).filter(|one| one.bucket == bucket.name) {
            let at = operation.begin_us;
            let mut active =
                faults.iter().filter(|fault| fault.begin_us <= at && at < fault.end_us).peekable();
            if active.peek().is_none() {
                continue;
            }
            let mut touched = Vec::new();
            let mut is_noticed = true;
            for fault in active {
                is_noticed &= at >= fault.begin_us + detection;
                touched.extend(&fault.nodes);
            }
            if !is_noticed {
                continue;
            }
            match operation.entry {
                Some(entry) if !touched.contains(&entry) => (operation.count)(&mut through_others),
                Some(_) => {}
                None => (operation.count)(&mut through_all),
            }
        }
        lines.push(format!(
            "{}: {} through nodes that were not touched, {} of clients that know all nodes",
            bucket.name,
            through_others.share(),
            through_all.share()
        ));
    }
    lines
}

impl Figures {
    /// All of it in lines.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let counts = &self.counts;
        let _ = writeln!(
            text,
            "{} operations: puts {} applied, {} not applied, {} indeterminate; gets {} answered, {} failed",
            counts.operations(),
            counts.applied,
            counts.not_applied,
            counts.indeterminate,
            counts.answered,
            counts.failed
        );
        for (name, latency) in ["before", "during", "after"].into_iter().zip(&self.latency) {
            let _ = writeln!(
                text,
                "latency {name} the faults: p50 {:.1} ms, p99 {:.1} ms, largest {:.1} ms",
                milliseconds(latency.value_at_quantile(0.5)),
                milliseconds(latency.value_at_quantile(0.99)),
                milliseconds(latency.max())
            );
        }
        for line in &self.available {
            let _ = writeln!(text, "available while faults lasted that had been noticed: {line}");
        }
        text
    }
}

/// Microseconds as milliseconds.
pub fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}
