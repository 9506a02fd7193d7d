use smallvec::SmallVec;

use crate::causality::{Dot, DotSet};
use crate::ids::Epoch;
use crate::mutants::{self, Mutant};
use crate::record::{CellView, PastNames, Provenance, Record, Sinces, Version};
use crate::resolver::ConflictResolver;
use crate::time::Now;

/// After so many epochs what ages goes (`docs/epochs.md`, rule 7).
const EPOCHS: u64 = 4;
/// A sender's word for since when it holds something counts if it is at least so many epochs older than the reading (rule 4).
const SETTLED: u64 = 2;

/// Whether something that is held since one of these epochs may be due.
pub(super) fn may_be_due(cell: &CellView<'_>, epoch: Epoch) -> bool {
    let is_due = |since: Epoch| since.plus(EPOCHS - 1) <= epoch;
    cell.sinces.entries().iter().any(|since| is_due(*since)) || cell.names.may_be_due(is_due)
}

/// A record with the epochs since which a replica holds what ages in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Aged {
    pub(super) record: Record,
    sinces: SmallVec<[(Dot, Epoch); 2]>,
}

/// The present epoch of a partition at a replica, and its clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) epoch: Epoch,
    pub(super) now: Now,
    /// How far clocks may be apart.
    pub(super) drift_ms: u64,
}

impl Age {
    fn is_due(self, since: Epoch) -> bool {
        let epochs = if mutants::on(Mutant::ReapsAfterThree) { EPOCHS - 1 } else { EPOCHS };
        since.plus(epochs) <= self.epoch
    }

    /// Whether what went because it was held since an epoch comes back no more.
    fn is_forgotten(self, since: Epoch) -> bool {
        since.plus(2 * EPOCHS) <= self.epoch
    }

    /// Whether a version has no value any more, whoever's clock is asked.
    fn is_dead(self, version: &Version) -> bool {
        let expired = |at_ms: u64| at_ms.saturating_add(self.drift_ms) < self.now.wall_ms;
        version.is_tombstone() || version.expires_at_ms().is_some_and(expired)
    }
}

impl Aged {
    /// A record of this replica's own store. What it does not say, it has held since the present epoch.
    pub(super) fn own(record: Record, sinces: &Sinces, age: Age) -> Self {
        let known = sinces.of(&record).map(|(version, since)| (version.dot, since.unwrap_or(age.epoch)));
        Aged { sinces: known.collect(), record }
    }

    /// A record that arrived.
    pub(super) fn arrived(record: Record, read: &Provenance) -> Self {
        let settled =
            |since: &Epoch| since.plus(SETTLED) <= read.epoch || mutants::on(Mutant::SinceIsAlwaysBelieved);
        let known = read
            .sinces
            .of(&record)
            .filter_map(|(version, since)| Some((version.dot, since.filter(settled)?)));
        Aged { sinces: known.collect(), record }
    }

    fn since(&self, dot: Dot) -> Option<Epoch> {
        self.sinces.iter().find(|(of, _)| *of == dot).map(|(_, since)| *since)
    }

    /// Lets go of what is due, and returns the pasts that went.
    pub(super) fn reap(&mut self, age: Age) -> DotSet {
        let mut gone = DotSet::new();
        if !self.sinces.iter().any(|(_, since)| age.is_due(*since)) {
            return gone;
        }
        let record = std::mem::take(&mut self.record);
        let kept = record.into_versions().filter_map(|mut version| {
            if !self.since(version.dot).is_some_and(|since| age.is_due(since)) {
                return Some(version);
            }
            gone.union(&version.past);
            if age.is_dead(&version) {
                gone.insert(version.dot);
                return None;
            }
            version.past = DotSet::new();
            Some(version)
        });
        self.record = kept.collect();
        self.forget_others();
        gone
    }

    /// Lets go of names in crowded pasts that are due, although the versions in whose pasts they are may be younger.
    pub(super) fn age_names(&mut self, names: &mut PastNames, age: Age) {
        let record = std::mem::take(&mut self.record);
        self.record =
            names.age(record, age.epoch, |since| age.is_due(since), |since| age.is_forgotten(since));
    }

    /// Takes in what arrived; of either nothing is due.
    pub(super) fn merge(&mut self, other: Aged, resolver: &dyn ConflictResolver) {
        for (dot, since) in other.sinces {
            match self.sinces.iter_mut().find(|(of, _)| *of == dot) {
                Some((_, known)) => *known = since.min(*known),
                None => self.sinces.push((dot, since)),
            }
        }
        self.record.merge(other.record, resolver);
        self.forget_others();
    }

    /// Forgets what is not in the record.
    fn forget_others(&mut self) {
        let record = &self.record;
        self.sinces.retain(|(dot, _)| record.versions().iter().any(|version| version.dot == *dot));
    }

    /// What stands beside the record; what is new is held since `epoch`, or since nobody knows when.
    pub(super) fn sinces(&self, epoch: Option<Epoch>) -> Sinces {
        Sinces::new(&self.record, |version| self.since(version.dot).or(epoch))
    }
}
