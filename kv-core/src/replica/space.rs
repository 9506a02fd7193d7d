use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorKind};
use crate::ids::NodeId;
use crate::limits::Limits;
use crate::replica::Ledger;

/// Whether a store has room for what clients write. Told now and then by whoever drives its writer, read by the writer and whoever wants to
/// know.
///
/// A store that is low on space takes nothing that clients write, so that what the node itself has to store still fits: its lives, epochs and
/// promises, and the end of what is reaped or was delivered. It is low from [`Limits::free_bytes_min`] down, and until twice as much is free.
#[derive(Debug, Default)]
pub struct Space(Mutex<Option<LowSpace>>);

/// How far a store is from taking writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowSpace {
    /// Bytes that are free.
    pub bytes_free: u64,
    /// Bytes that have to be free before it takes writes again.
    pub bytes_wanted: u64,
}

impl Space {
    /// Takes note of how many bytes are free, where that is known, and says whether that begins or ends a time of low space.
    pub fn note(&self, bytes_free: Option<u64>, limits: &Limits) -> bool {
        let mut low = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_low = low.is_some();
        let bytes_wanted = limits.free_bytes_min.saturating_mul(2);
        let enough = if was_low { bytes_wanted } else { limits.free_bytes_min };
        let missing = bytes_free.filter(|bytes_free| *bytes_free < enough);
        *low = missing.map(|bytes_free| LowSpace { bytes_free, bytes_wanted });
        low.is_some() != was_low
    }

    /// How low space is, if it is.
    pub fn low(&self) -> Option<LowSpace> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LowSpace {
    /// Why what clients write is refused.
    pub fn error(&self) -> Error {
        Error::new(ErrorKind::ReadOnly, format!("this node takes no writes: {self}"))
    }
}

impl std::fmt::Display for LowSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LowSpace { bytes_free, bytes_wanted } = self;
        write!(
            f,
            "space is low, its store has {bytes_free} bytes free and wants {bytes_wanted} (twice limits.free_bytes_min): \
             free space on its disk, or raise storage.map_bytes if the map is full; it goes on by itself"
        )
    }
}

/// What a batch finds no room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Nothing that clients write is taken.
    low: Option<LowSpace>,
    /// No more copies for absent owners are taken.
    copies_full: bool,
}

impl Room {
    pub(super) fn of(ledger: &Ledger, limits: &Limits) -> Self {
        let copies_full = ledger.stand_ins.bytes() >= limits.stand_in_bytes_max;
        Room { low: ledger.space.low(), copies_full }
    }

    /// Refuses what there is no room for.
    pub(super) fn take(self, stand_in_for: Option<NodeId>) -> Result<(), ErrorKind> {
        match (self.low, self.copies_full && stand_in_for.is_some()) {
            (Some(_), _) => Err(ErrorKind::ReadOnly),
            (_, true) => Err(ErrorKind::Overloaded),
            _ => Ok(()),
        }
    }

    pub(super) fn error(self, kind: ErrorKind) -> Error {
        let message = "this node keeps as many copies for absent owners as it may (stand_in_bytes_max)";
        self.low.map_or_else(|| Error::new(kind, message), |low| low.error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_low_below_the_bound_and_until_twice_as_much_is_free() {
        let space = Space::default();
        let limits = Limits { free_bytes_min: 100, ..Limits::default() };
        let steps = [
            (Some(100), false, None),
            (Some(99), true, Some(99)),
            (Some(150), false, Some(150)),
            (Some(199), false, Some(199)),
            (Some(200), true, None),
            (Some(100), false, None),
            (Some(0), true, Some(0)),
            (None, true, None),
        ];
        for (free, changes, low) in steps {
            assert_eq!(space.note(free, &limits), changes, "{free:?}");
            assert_eq!(space.low().map(|low| low.bytes_free), low, "{free:?}");
        }
        let off = Limits { free_bytes_min: 0, ..limits };
        assert!(!space.note(Some(0), &off) && space.low().is_none(), "0 switches it off");
    }
}
