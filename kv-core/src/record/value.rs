use smallvec::SmallVec;

use crate::causality::{Actor, Context, Stamp};
use crate::mutants::{self, Mutant};
use crate::record::Version;
use crate::resolver::{Candidate, ConflictResolver};

/// The versions of one key: a set, ascending by dot, of which none is covered by another's past.
///
/// Records merge like dotted version vector sets (Preguiça et al. 2010; Almeida et al., "Scalable and accurate causality tracking for
/// eventually consistent stores", DAIS 2014): the union of the versions, less those that a past in the union covers, less
/// those that the bucket's resolver does not keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Room for what is there and what replaces it.
    versions: SmallVec<[Version; 2]>,
}

impl Record {
    /// A record without versions: a key that was never written.
    pub fn new() -> Self {
        Record::default()
    }

    /// A record of versions that are ascending by dot; `None` if they are not.
    pub(super) fn from_ascending(versions: SmallVec<[Version; 2]>) -> Option<Self> {
        let ascending = versions.windows(2).all(|pair| match pair {
            [a, b] => a.dot < b.dot,
            _ => true,
        });
        ascending.then_some(Record { versions })
    }

    /// The versions, ascending by dot.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The versions, ascending by dot, for keeps.
    pub fn into_versions(self) -> impl Iterator<Item = Version> {
        self.versions.into_iter()
    }

    /// Whether there is no version.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Whether epochs have to end for its sake: it has a tombstone, a value that expires, or crowded pasts.
    pub fn wants_epochs(&self) -> bool {
        self.versions.iter().any(Version::is_mortal) || self.crowded_pasts().is_some()
    }

    /// The highest stamp of any version, or the lowest stamp there is.
    pub fn stamp(&self) -> Stamp {
        self.versions.iter().map(Version::latest_stamp).max().unwrap_or_default()
    }

    /// What a reader of this record has seen: the dots and pasts of all versions, tombstones included.
    pub fn context(&self) -> Context {
        let omits = mutants::on(Mutant::ContextOmitsTombstones);
        Record::context_of(self.versions.iter().filter(|version| !(omits && version.is_tombstone())))
    }

    /// What a reader of these versions has seen: their dots and pasts.
    pub fn context_of<'a>(versions: impl Iterator<Item = &'a Version>) -> Context {
        let mut context = Context::default();
        for version in versions {
            context.dots.union(&version.past);
            context.dots.insert(version.dot);
            context.stamp = context.stamp.max(version.latest_stamp());
        }
        context
    }

    /// The highest counter of `actor` that any version knows, as its dot or in its past.
    pub fn highest(&self, actor: Actor) -> u64 {
        let known = |version: &Version| {
            let own = if version.dot.actor == actor { version.dot.counter } else { 0 };
            own.max(version.past.highest(actor))
        };
        self.versions.iter().map(known).max().unwrap_or(0)
    }

    /// Takes the versions of `other` in, drops what is covered, and lets `resolver` choose among what is left. Never refuses and never
    /// drops anything else.
    pub fn merge(&mut self, other: Record, resolver: &dyn ConflictResolver) {
        for version in other.versions {
            self.take(version);
        }
        self.settle(resolver);
    }

    /// Adds one new version as [`Record::merge`] would.
    pub fn add(&mut self, version: Version, resolver: &dyn ConflictResolver) {
        self.take(version);
        self.settle(resolver);
    }

    fn take(&mut self, version: Version) {
        match self.versions.binary_search_by_key(&version.dot, |ours| ours.dot) {
            Ok(place) => {
                // Two copies of one dot differ in their pasts only, which lose entries and never gain any.
                if let Some(ours) = self.versions.get_mut(place)
                    && ours.past != version.past
                {
                    ours.past = ours.past.intersection(&version.past);
                }
            }
            Err(place) => {
                let past = if mutants::on(Mutant::MergeDropsPasts) && !self.versions.is_empty() {
                    crate::causality::DotSet::new()
                } else {
                    version.past
                };
                self.versions.insert(place, Version { past, ..version });
            }
        }
    }

    fn settle(&mut self, resolver: &dyn ConflictResolver) {
        if self.versions.len() < 2 {
            return;
        }
        let covered = |version: &Version| self.versions.iter().any(|other| other.past.contains(version.dot));
        let live: SmallVec<[bool; 8]> = self.versions.iter().map(|version| !covered(version)).collect();
        self.retain(&live);
        if mutants::on(Mutant::MergeCapsSiblings) {
            self.versions.truncate(2);
        }
        if mutants::on(Mutant::DeleteRemovesRecord) && self.versions.iter().all(Version::is_tombstone) {
            self.versions.clear();
        }
        if self.versions.len() < 2 {
            return;
        }
        let mut kept: SmallVec<[bool; 8]> = SmallVec::from_elem(true, self.versions.len());
        let candidates: SmallVec<[Candidate<'_>; 4]> = self
            .versions
            .iter()
            .map(|version| Candidate {
                dot: version.dot,
                stamp: version.stamp,
                expiry_stamp: version.expiry_stamp(),
                value: version.value.as_deref(),
            })
            .collect();
        resolver.keep(&candidates, &mut kept);
        drop(candidates);
        if mutants::on(Mutant::MergeCombines) {
            let parts = self.versions.iter().filter_map(|version| version.value.as_deref());
            let sum = xxhash_rust::xxh3::xxh3_64(&parts.collect::<Vec<_>>().concat());
            let combined = bytes::Bytes::copy_from_slice(&sum.to_le_bytes());
            self.versions.iter_mut().for_each(|version| version.value = Some(combined.clone()));
        }
        // A resolver that keeps nothing breaks its contract; a write is never lost to that.
        if kept.iter().any(|kept| *kept) {
            self.retain(&kept);
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        if keep.iter().all(|keep| *keep) {
            return;
        }
        let mut keep = keep.iter();
        self.versions.retain(|_| keep.next().copied().unwrap_or(true));
    }
}

impl FromIterator<Version> for Record {
    /// Collects versions that are ascending by dot and of which none covers another.
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        Record { versions: versions.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests;
