use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Distribution, Measured, Pace, Plan};
use crate::text::{Table, format_count, format_duration, format_micros};

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99_9", 99.9)];

/// A run and what was measured in it.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The run.
    pub(crate) plan: &'a Plan,
    /// What was measured.
    pub(crate) measured: &'a Measured,
}

impl Report<'_> {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let measured = self.measured;
        let mut table = Table::new(["", "COUNT", "PER SECOND", "P50", "P90", "P99", "P99.9", "MAX"]);
        for (name, histogram) in [("get", &measured.gets), ("put", &measured.puts)] {
            if histogram.is_empty() {
                continue;
            }
            let [p50, p90, p99, p99_9] =
                PERCENTILES.map(|(_, percentile)| format_micros(histogram.value_at_percentile(percentile)));
            table.row([
                name.into(),
                format_count(histogram.len()),
                format_count(self.per_second(histogram.len()).round() as u64),
                p50,
                p90,
                p99,
                p99_9,
                format_micros(histogram.max()),
            ]);
        }
        format!(
            "{}\n\n{table}\nnot found:      {} of {} gets\nerrors:         {}\nindeterminate:  {}\n{}",
            self.heading(),
            format_count(measured.not_found),
            format_count(measured.gets.len()),
            counts(&measured.errors),
            counts(&measured.indeterminate),
            self.verdict().map(|verdict| format!("\n{verdict}\n")).unwrap_or_default()
        )
    }

    /// For programs. Latencies are microseconds.
    pub(crate) fn json(&self) -> Value {
        let Measured { gets, puts, not_found, errors, indeterminate, unstarted, late } = self.measured;
        let (loop_name, rate) = match self.plan.pace {
            Pace::Closed => ("closed", None),
            Pace::Open(rate) => ("open", Some(rate)),
        };
        let workload = &self.plan.workload;
        let (distribution, exponent) = match workload.distribution {
            Distribution::Uniform => ("uniform", None),
            Distribution::Zipf(exponent) => ("zipf", Some(exponent)),
        };
        json!({
            "is_figure": self.measured.is_figure(),
            "loop": loop_name,
            "rate_intended": rate,
            "clients": self.plan.clients,
            "warm_up_s": self.plan.warm_up.as_secs_f64(),
            "duration_s": self.plan.duration.as_secs_f64(),
            "keys": workload.keys,
            "key_bytes": workload.key_bytes,
            "value_bytes": workload.value_bytes,
            "reads": workload.reads,
            "distribution": distribution,
            "zipf_exponent": exponent,
            "seed": workload.seed,
            "get": self.histogram_json(gets),
            "put": self.histogram_json(puts),
            "per_second": self.per_second((gets.len() + puts.len()).saturating_sub(*late)),
            "not_found": not_found,
            "errors": errors,
            "indeterminate": indeterminate,
            "unstarted": unstarted,
            "late": late,
        })
    }

    fn histogram_json(&self, histogram: &Histogram<u64>) -> Value {
        let mut value = json!({
            "count": histogram.len(),
            "per_second": self.per_second(histogram.len()),
            "mean_us": histogram.mean(),
            "max_us": histogram.max(),
        });
        if let Some(object) = value.as_object_mut() {
            for (name, percentile) in PERCENTILES {
                object.insert(format!("{name}_us"), histogram.value_at_percentile(percentile).into());
            }
        }
        value
    }

    fn heading(&self) -> String {
        let Plan { workload, pace, clients, warm_up, duration } = self.plan;
        let pace = match pace {
            Pace::Closed => format!("closed loop, {clients} clients"),
            Pace::Open(rate) => format!(
                "open loop, {} requests a second intended, at most {clients} at a time, latency from the intended start",
                format_count(rate.round() as u64)
            ),
        };
        let distribution = match workload.distribution {
            Distribution::Uniform => "uniform".to_string(),
            Distribution::Zipf(exponent) => format!("Zipf {exponent}"),
        };
        format!(
            "{pace}; {} after {} of warm-up\n{} keys of {} bytes, {distribution}; values of {} bytes; {:.0} % reads",
            shown(*duration),
            shown(*warm_up),
            format_count(workload.keys),
            workload.key_bytes,
            format_count(workload.value_bytes as u64),
            workload.reads * 100.0
        )
    }

    /// Why the run is no figure, if it is none.
    fn verdict(&self) -> Option<String> {
        let measured = self.measured;
        let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
        let parts = [
            (sum(&measured.errors), "failed"),
            (sum(&measured.indeterminate), "are indeterminate"),
            (measured.unstarted, "were due and never began"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", format_count(*count)))
            .collect();
        if parts.is_empty() && !measured.is_figure() {
            return Some("THIS RUN IS NO FIGURE: nothing was answered".into());
        }
        (!parts.is_empty()).then(|| format!("THIS RUN IS NO FIGURE: of its requests {}", parts.join(", ")))
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.plan.duration.as_secs_f64()
    }
}

fn shown(duration: Duration) -> String {
    if duration.is_zero() { "none".into() } else { format_duration(duration) }
}

fn counts(counts: &BTreeMap<&str, u64>) -> String {
    if counts.is_empty() {
        return "none".into();
    }
    let counts: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{kind} {}", format_count(*count))).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use kv_core::error::ErrorKind;

    use super::super::{Outcome, Workload};
    use super::*;

    #[test]
    fn errors_and_indeterminate_results_are_told_apart_and_spoil_the_figure() {
        let workload = Workload {
            keys: 1_000,
            key_bytes: 16,
            value_bytes: 100,
            reads: 0.5,
            distribution: Distribution::Zipf(0.99),
            seed: 1,
        };
        let second = Duration::from_secs(1);
        let plan =
            Plan { workload, pace: Pace::Closed, clients: 2, warm_up: Duration::ZERO, duration: second };
        let mut measured = Measured::new().unwrap();
        measured.record(Outcome::Written, Duration::from_micros(87));
        let report = Report { plan: &plan, measured: &measured };
        assert!(!report.text().contains("NO FIGURE"), "{}", report.text());
        assert_eq!(report.json()["put"]["p99_us"], 87);

        measured.record(Outcome::Failed(ErrorKind::Unavailable), second);
        measured.record(Outcome::Indeterminate(ErrorKind::ConnectionLost), second);
        let report = Report { plan: &plan, measured: &measured };
        let text = report.text();
        assert!(text.contains("errors:         Unavailable 1\nindeterminate:  ConnectionLost 1\n"), "{text}");
        assert!(
            text.contains("THIS RUN IS NO FIGURE: of its requests 1 failed, 1 are indeterminate"),
            "{text}"
        );
        assert_eq!(report.json()["is_figure"], false);
    }
}
