use crate::causality::DotSet;
use crate::codec::{DecodeError, Reader, put_varint};
use crate::ids::Epoch;
use crate::record::Record;

/// Pasts of a record are crowded if they have dots of more actors than this.
const ACTORS_MAX: usize = 8;

/// In which epoch a replica first held each actor of crowded pasts, with just the dots that it has there. It stays with the replica.
///
/// A value loses its past when it was held long enough. A key that is written all the time has no such value: its newest one names every actor that
/// ever wrote to it, one more for each restart of a node. So where pasts are crowded actors go by themselves, and are remembered for a while,
/// because contexts that were read elsewhere bring them back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastNames(Vec<(DotSet, Epoch)>);

impl Record {
    /// The pasts of all versions, if they are crowded.
    pub fn crowded_pasts(&self) -> Option<DotSet> {
        let actors = self.versions().iter().map(|version| version.past.actors());
        if actors.sum::<usize>() <= ACTORS_MAX {
            return None;
        }
        Some(self.pasts()).filter(|pasts| pasts.actors() > ACTORS_MAX)
    }

    fn pasts(&self) -> DotSet {
        let mut all = DotSet::new();
        self.versions().iter().for_each(|version| all.union(&version.past));
        all
    }
}

impl PastNames {
    /// Those of actors that are each given with an epoch.
    pub fn from_entries(entries: Vec<(DotSet, Epoch)>) -> Self {
        PastNames(entries)
    }

    /// The dots of each actor, and since when they are held; ascending by actor.
    pub fn entries(&self) -> &[(DotSet, Epoch)] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the names that are due out of the pasts of `record`, which is held in `epoch`. `is_due` says of an epoch whether what is held since then goes, and
    /// `is_forgotten` whether it is over that it went.
    pub fn age(
        &mut self,
        record: Record,
        epoch: Epoch,
        is_due: impl Fn(Epoch) -> bool,
        is_forgotten: impl Fn(Epoch) -> bool,
    ) -> Record {
        let crowd = record.crowded_pasts();
        if self.is_empty() && crowd.is_none() {
            return record;
        }
        let known = std::mem::take(&mut self.0);
        let pasts = crowd.unwrap_or_else(|| record.pasts());
        let is_crowd = pasts.actors() > ACTORS_MAX;
        let mut due = DotSet::new();
        for dots in pasts.by_actor() {
            let actor = dots.first_actor();
            let mut names = known.iter().filter(|(of, _)| of.first_actor() == actor);
            let since = names.find(|(of, _)| of.is_superset(&dots)).map(|(_, since)| *since);
            if since.is_some_and(&is_due) {
                due.union(&dots);
            } else if is_crowd || since.is_some() {
                self.0.push((dots, since.unwrap_or(epoch)));
            }
        }
        self.0.extend(known.into_iter().filter(|(_, since)| is_due(*since) && !is_forgotten(*since)));
        self.0.sort_by_key(|(dots, _)| dots.first_actor());
        if due.is_empty() {
            return record;
        }
        let versions = record.into_versions().map(|mut version| {
            version.past = version.past.without_actors_of(&due);
            version
        });
        versions.collect()
    }

    /// Whether some of the names that are held may be due.
    pub fn may_be_due(&self, is_due: impl Fn(Epoch) -> bool) -> bool {
        self.0.iter().any(|(_, since)| is_due(*since))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for (dots, since) in &self.0 {
            dots.encode(out);
            put_varint(out, since.0);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // An actor takes at least 11 bytes, and its epoch one.
        let count = reader.count(12)?;
        let entries = (0..count).map(|_| Ok((DotSet::decode(reader)?, Epoch(reader.varint()?))));
        Ok(PastNames(entries.collect::<Result<_, DecodeError>>()?))
    }
}
