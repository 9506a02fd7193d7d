//! How long to wait before the next connect after some that failed.

use std::time::Duration;

use rand::RngExt;

/// The pause after `failures` failed connects in a row (1 or more): doubling from `min` to `max`, and of that a random half to
/// whole, so that nodes that lost the same peer do not come back to it together.
pub(super) fn pause(failures: u32, min: Duration, max: Duration) -> Duration {
    let doubled =
        min.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(max);
    doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_never_vanish() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
        for (failures, whole_ms) in
            [(1, 50), (2, 100), (3, 200), (6, 1_600), (7, 2_000), (33, 2_000), (u32::MAX, 2_000)]
        {
            let whole = Duration::from_millis(whole_ms);
            let pause = pause(failures, min, max);
            assert!(pause >= whole / 2 && pause <= whole, "{failures} failures: {pause:?}");
        }
    }
}
