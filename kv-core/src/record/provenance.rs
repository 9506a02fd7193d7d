use serde::{Deserialize, Serialize};

use crate::ids::Epoch;
use crate::record::{Record, Version};

/// Where and when a record was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The epoch of the replica that read it; of several, the lowest.
    pub epoch: Epoch,
    /// Since when its versions were held there.
    pub sinces: Sinces,
}

/// In which epoch a replica first held each version of which something goes some time: tombstones, values that expire, and values that replaced
/// something. One entry for each such version, in the order of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sinces(#[serde(deserialize_with = "crate::codec::list")] Vec<Epoch>);

impl Sinces {
    /// Those of `record`, of whose versions `since` says it; without it they are unknown.
    pub fn new(record: &Record, since: impl Fn(&Version) -> Option<Epoch>) -> Self {
        let aging = record.versions().iter().filter(|version| version.ages());
        Sinces(aging.map(|version| since(version).unwrap_or(Epoch::NONE)).collect())
    }

    /// Those that were stored or sent, in their order.
    pub fn from_entries(entries: Vec<Epoch>) -> Self {
        Sinces(entries)
    }

    /// The entries, in their order.
    pub fn entries(&self) -> &[Epoch] {
        &self.0
    }

    /// The versions of `record` that age, each with its entry if that is known. What belongs to another record says nothing.
    pub fn of<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = (&'a Version, Option<Epoch>)> {
        let aging = record.versions().iter().filter(|version| version.ages());
        let fits = aging.clone().count() == self.0.len();
        let entry = move |(place, version)| {
            let since = self.0.get(place).copied().filter(|since| fits && *since != Epoch::NONE);
            (version, since)
        };
        aging.enumerate().map(entry)
    }
}
