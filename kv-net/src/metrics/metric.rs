/// One metric: what it is called and what it means.
#[derive(Debug)]
pub struct Metric {
    /// Its name, with its unit at the end, and `_total` behind it for a counter.
    pub name: &'static str,
    /// What its values are.
    pub metric_type: MetricType,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence or two.
    pub help: &'static str,
}

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Numbers that only rise until the process ends.
    Counter,
    /// Numbers that rise and fall.
    Gauge,
    /// How many observations were not above each of some bounds, how many there were, and their sum.
    Histogram,
}

impl MetricType {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        }
    }
}
