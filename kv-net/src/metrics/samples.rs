use std::fmt::{Display, Write as _};

use kv_core::histogram::Histogram;

use crate::metrics::metric::Metric;

/// Microseconds in a second: what histograms of times count in, and what metrics tell.
const MICROSECONDS_IN_SECOND: f64 = 1e6;
const NANOSECONDS_IN_SECOND: f64 = 1e9;

/// Writes the samples of one metric. A metric without any leaves no trace in the text.
pub(super) struct Samples<'a> {
    metric: &'a Metric,
    out: &'a mut String,
    begun: bool,
}

impl<'a> Samples<'a> {
    pub(super) fn new(metric: &'a Metric, out: &'a mut String) -> Self {
        Samples { metric, out, begun: false }
    }

    /// The only sample of a metric without labels.
    pub(super) fn one(&mut self, value: impl Display) {
        self.add([], value);
    }

    /// A sample with that text for each label.
    pub(super) fn add<const LABELS: usize>(&mut self, labels: [&dyn Display; LABELS], value: impl Display) {
        debug_assert_eq!(LABELS, self.metric.labels.len(), "a text for each label of {}", self.metric.name);
        let mut pairs = String::new();
        for (name, text) in self.metric.labels.iter().zip(labels) {
            let gap = if pairs.is_empty() { "" } else { "," };
            let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(pairs, "{gap}{name}=\"{text}\"");
        }
        self.line("", &pairs, value);
    }

    /// The samples of a histogram of whole numbers.
    pub(super) fn histogram(&mut self, histogram: &Histogram) {
        self.scaled(histogram, 1.0);
    }

    /// The samples of a histogram of microseconds, in seconds.
    pub(super) fn seconds(&mut self, histogram: &Histogram) {
        self.scaled(histogram, MICROSECONDS_IN_SECOND);
    }

    /// The samples of a histogram of nanoseconds, in seconds.
    pub(super) fn fine_seconds(&mut self, histogram: &Histogram) {
        self.scaled(histogram, NANOSECONDS_IN_SECOND);
    }

    fn scaled(&mut self, histogram: &Histogram, unit: f64) {
        for (bound, count) in histogram.cumulative() {
            let bound = bound.map_or("+Inf".to_string(), |bound| (bound as f64 / unit).to_string());
            self.line("_bucket", &format!("le=\"{bound}\""), count);
        }
        self.line("_sum", "", histogram.sum() as f64 / unit);
        self.line("_count", "", histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let Metric { name, metric_type, help, .. } = self.metric;
        if !std::mem::replace(&mut self.begun, true) {
            let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {}", metric_type.name());
        }
        let _ = match labels {
            "" => writeln!(self.out, "{name}{suffix} {value}"),
            labels => writeln!(self.out, "{name}{suffix}{{{labels}}} {value}"),
        };
    }
}
