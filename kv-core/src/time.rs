//! Time as it is handed to the core, which has no clock.

/// One reading of the two clocks of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds on a clock that never goes backwards, from any start: deadlines and delays.
    pub monotonic_us: u64,
    /// Milliseconds since 1970 on the wall clock, which may jump: stamps, and what has expired.
    pub wall_ms: u64,
}

impl Now {
    /// Milliseconds on the monotonic clock.
    pub fn monotonic_ms(self) -> u64 {
        self.monotonic_us / 1_000
    }
}
