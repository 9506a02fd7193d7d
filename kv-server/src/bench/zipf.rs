use rand::RngExt;

/// Ranks from 0, of which rank k is drawn with a probability in proportion to 1 / (k + 1)^exponent.
///
/// Rejection-inversion: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions",
/// ACM TOMACS 6 (1996). It needs no table, so that any number of keys costs the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zipf {
    ranks: f64,
    exponent: f64,
    integral_first: f64,
    integral_last: f64,
    squeeze: f64,
}

impl Zipf {
    /// A distribution over `ranks` ranks, at least 1, with an exponent above 0.
    pub(super) fn new(ranks: u64, exponent: f64) -> Self {
        let mut zipf = Zipf {
            ranks: ranks.max(1) as f64,
            exponent,
            integral_first: 0.0,
            integral_last: 0.0,
            squeeze: 0.0,
        };
        zipf.integral_first = zipf.integral(1.5) - 1.0;
        zipf.integral_last = zipf.integral(zipf.ranks + 0.5);
        zipf.squeeze = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// Draws a rank.
    pub(super) fn sample(&self, rng: &mut impl RngExt) -> u64 {
        loop {
            let at: f64 =
                self.integral_last + rng.random::<f64>() * (self.integral_first - self.integral_last);
            let x = self.integral_inverse(at);
            let rank = (x + 0.5).floor().clamp(1.0, self.ranks);
            if rank - x <= self.squeeze || at >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u64 - 1;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the weight.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over((1.0 - self.exponent) * log) * log
    }

    fn integral_inverse(&self, x: f64) -> f64 {
        // Rounding may lead below the domain of the logarithm.
        let t = (x * (1.0 - self.exponent)).max(-1.0);
        (log1p_over(t) * x).exp()
    }
}

/// ln(1 + x) / x, also near 0.
fn log1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)) }
}

/// (e^x - 1) / x, also near 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x * 0.5 * (1.0 + x / 3.0 * (1.0 + 0.25 * x)) }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ranks_come_as_often_as_they_should() {
        const DRAWS: usize = 200_000;
        for (ranks, exponent) in [(1, 0.99), (10, 0.99), (100, 1.0), (1_000, 1.5), (50, 0.5)] {
            let zipf = Zipf::new(ranks, exponent);
            let mut rng = StdRng::seed_from_u64(7);
            let mut seen = vec![0usize; ranks as usize];
            for _ in 0..DRAWS {
                seen[zipf.sample(&mut rng) as usize] += 1;
            }
            let weight = |rank: usize| ((rank + 1) as f64).powf(-exponent);
            let all: f64 = (0..ranks as usize).map(weight).sum();
            for (rank, seen) in seen.iter().enumerate().take(10) {
                let expected = weight(rank) / all * DRAWS as f64;
                let distance = (*seen as f64 - expected).abs();
                assert!(
                    distance < 5.0 * expected.sqrt(),
                    "rank {rank} of {ranks}, {exponent}: {seen} for {expected}"
                );
            }
        }
    }

    #[test]
    fn many_ranks_stay_within_bounds() {
        let zipf = Zipf::new(u64::from(u32::MAX), 0.99);
        let mut rng = StdRng::seed_from_u64(1);
        assert!((0..10_000).all(|_| zipf.sample(&mut rng) < u64::from(u32::MAX)));
    }
}
