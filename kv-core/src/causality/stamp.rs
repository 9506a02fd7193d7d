use std::fmt;

use serde::{Deserialize, Serialize};

/// A point of the hybrid logical clock (Kulkarni et al., OPODIS 2014): 48 bits of milliseconds since 1970 and 16 bits of count.
///
/// Stamps order concurrent versions and nothing else; causality is told by dots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The first stamp of a millisecond.
    pub fn from_millis(wall_ms: u64) -> Self {
        Stamp(wall_ms.min((1 << 48) - 1) << 16)
    }

    /// The millisecond since 1970.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The next stamp; the last one has itself.
    #[must_use]
    pub fn next(self) -> Self {
        Stamp(self.0.saturating_add(1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms+{}", self.millis(), self.0 & 0xffff)
    }
}
