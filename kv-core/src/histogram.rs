//! Counts of observations between fixed bounds, for metrics.

/// Bounds for times in microseconds, from 50 µs to 10 s.
pub const MICROSECONDS: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Bounds for times in nanoseconds, from 250 ns to 10 s.
pub const NANOSECONDS: &[u64] = &[
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// Bounds for how many concurrent values a key has: none, one, two, three, up to eight, more.
pub const VALUES: &[u64] = &[0, 1, 2, 3, 8];

/// Bounds for how many keys are stored at a time.
pub const KEYS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// How many observations lay between each two of some bounds, and what all of them come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Box<[u64]>,
    sum: u64,
}

impl Histogram {
    /// Nothing observed; `bounds` ascend, and each belongs to what lies below it.
    pub fn new(bounds: &'static [u64]) -> Self {
        Histogram { bounds, counts: vec![0; bounds.len() + 1].into(), sum: 0 }
    }

    /// What was counted elsewhere: a count for what lies up to each bound and one for what lies above all, and what all come to.
    pub fn of(bounds: &'static [u64], counts: &[u64], sum: u64) -> Self {
        debug_assert_eq!(counts.len(), bounds.len() + 1, "a count between each two bounds, and two outside");
        Histogram { bounds, counts: counts.into(), sum }
    }

    /// Takes in one observation.
    pub fn observe(&mut self, value: u64) {
        self.observe_often(value, 1);
    }

    /// Takes in the same observation that many times.
    pub fn observe_often(&mut self, value: u64, times: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(place) {
            *count += times;
            self.sum = self.sum.saturating_add(value.saturating_mul(times));
        }
    }

    /// Takes in what another histogram with the same bounds holds.
    pub fn merge(&mut self, other: &Histogram) {
        debug_assert_eq!(self.bounds, other.bounds, "histograms with the same bounds");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// For each bound how many observations were not above it, then how many there were.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().map(|bound| Some(*bound)).chain([None]);
        bounds.zip(self.counts.iter().scan(0, |total, count| {
            *total += count;
            Some(*total)
        }))
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What all observations come to.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_at_its_own_bound_and_all_above() {
        let mut histogram = Histogram::new(VALUES);
        for value in [0, 1, 1, 3, 8, 9] {
            histogram.observe(value);
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts, [(Some(0), 1), (Some(1), 3), (Some(2), 3), (Some(3), 4), (Some(8), 5), (None, 6)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, 22));
    }

    #[test]
    fn what_is_merged_is_as_if_it_had_been_observed_here() {
        let (mut one, mut other, mut both) =
            (Histogram::new(KEYS), Histogram::new(KEYS), Histogram::new(KEYS));
        for value in 0..2_000 {
            if value % 3 == 0 {
                one.observe(value)
            } else {
                other.observe_often(value, 2)
            }
            both.observe_often(value, if value % 3 == 0 { 1 } else { 2 });
        }
        one.merge(&other);
        assert_eq!(one, both);
    }
}
