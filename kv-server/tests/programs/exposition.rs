//! A strict reader of Prometheus' text format: it takes less than Prometheus does, and nothing that Prometheus would not take.

use std::collections::{BTreeMap, BTreeSet};

/// Metrics as they were told.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Types by name.
    pub(crate) types: BTreeMap<String, String>,
    /// Values by series: name and labels as they stand in the text.
    pub(crate) series: BTreeMap<String, f64>,
    /// The bound of the bucket that was told last.
    bound: Option<f64>,
}

impl Exposition {
    /// Reads the text, and fails where anything is wrong with it.
    pub(crate) fn read(text: &str) -> Exposition {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut read = Exposition::default();
        let (mut helped, mut current) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_string()), "{line}");
                current = name.to_string();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(name == current && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(read.types.insert(name.to_string(), kind.to_string()).is_none(), "{line}");
            } else {
                read.sample(line, &current);
            }
        }
        for (name, kind) in &read.types {
            assert!(read.of(name).next().is_some(), "{name} has no samples");
            if kind == "histogram" {
                read.check_histogram(name);
            }
        }
        read
    }

    /// One line with a value, which belongs to the metric whose type was told last.
    fn sample(&mut self, line: &str, current: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{line}");
        let mut names = BTreeSet::new();
        for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
            let (label, text) = pair.split_once('=').unwrap();
            let text = text.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(!text.contains(['"', '\\']) && names.insert(label), "{line}");
        }
        let kind = self.types.get(current).unwrap_or_else(|| panic!("before any type: {line}"));
        match kind.as_str() {
            "histogram" => {
                let suffix = name.strip_prefix(current).unwrap();
                assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}");
                assert_eq!(suffix == "_bucket", names.contains("le"), "{line}");
                // Buckets ascend as they are told.
                let bound = labels.strip_prefix("le=\"").and_then(|rest| rest.strip_suffix('"'));
                let bound =
                    bound.map(|bound| if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() });
                assert!(bound.is_none_or(|bound| self.bound.is_none_or(|before| before < bound)), "{line}");
                self.bound = bound;
            }
            _ => assert_eq!(name, current, "{line}"),
        }
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert!(
            value.is_finite() && self.series.insert(series.to_string(), value).is_none(),
            "twice: {line}"
        );
    }

    /// The bounds ascend and end in +Inf, the counts never fall, and the last is that of all.
    fn check_histogram(&self, name: &str) {
        let mut buckets: Vec<(f64, f64)> = self
            .of(&format!("{name}_bucket"))
            .map(|(series, count)| {
                let bound = series.split('"').nth(1).unwrap();
                (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, count)
            })
            .collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{name}");
        let (bound, all) = *buckets.last().unwrap();
        assert_eq!((bound, all), (f64::INFINITY, self.series[&format!("{name}_count")]), "{name}");
        assert!(all > 0.0 || self.series[&format!("{name}_sum")] == 0.0, "{name}");
    }

    /// The series whose name begins so, ended by labels or by a suffix of histograms.
    fn of(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.series.iter().filter_map(move |(series, value)| {
            let rest = series.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with(['{', '_'])).then_some((series.as_str(), *value))
        })
    }

    /// The value of a series.
    pub(crate) fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("{series} is not told"))
    }
}
