//! What readers are shown of a record.

use smallvec::SmallVec;

use crate::causality::{Context, Dot};
use crate::mutants::{self, Mutant};
use crate::record::{Record, Version, WriteId};

impl Record {
    /// The versions that have a value at `wall_ms`, on the clock of whoever coordinates.
    ///
    /// Two tries of one write that did not know of each other are two versions with one id. They are shown once, under the lower dot, and
    /// stay two in the record: were they merged into one there, records that learn in different orders of what replaced one of them would differ.
    pub fn into_shown(self, wall_ms: u64) -> impl Iterator<Item = Version> {
        let mut tries: SmallVec<[(WriteId, bytes::Bytes); 1]> = SmallVec::new();
        self.into_versions().filter(move |version| {
            let (true, Some(value)) = (version.is_live(wall_ms), &version.value) else { return false };
            let Some(id) = version.id.filter(|_| !mutants::on(Mutant::TwinsAreShown)) else { return true };
            let known = tries.iter().any(|(other, bytes)| *other == id && bytes == value);
            if !known {
                tries.push((id, value.clone()));
            }
            !known
        })
    }

    /// The write with that id, if the record has it: its name, and what a reader of it alone has seen.
    pub fn written_as(&self, id: WriteId) -> Option<(Dot, Context)> {
        let tries = || self.versions().iter().filter(|version| version.id == Some(id));
        let first = tries().next()?;
        Some((first.dot, Record::context_of(tries())))
    }
}

#[cfg(test)]
mod tests;
