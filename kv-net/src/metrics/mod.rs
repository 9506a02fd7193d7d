//! The metrics of a node in the text format of Prometheus.
//!
//! There is one table ([`all`]) from which the text is written and with which docs/metrics.md is compared. A node counts where things
//! happen and keeps its figures itself ([`NodeFigures`](crate::node::NodeFigures)); nothing is registered anywhere, and what nobody asks
//! for costs no more than the counting.

mod figures;
mod metric;
mod samples;
mod table;

pub use figures::{Figures, RespFigures};
pub use metric::{Metric, MetricType};

use samples::Samples;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric there is, in the order in which they are told.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    table::TABLE.iter().map(|row| &row.metric)
}

/// All metrics that `figures` have something for, in the text format of Prometheus.
pub fn exposition(figures: &Figures<'_>) -> String {
    let mut text = String::with_capacity(16 << 10);
    for row in table::TABLE {
        (row.read)(figures, &mut Samples::new(&row.metric, &mut text));
    }
    text
}
