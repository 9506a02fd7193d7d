use std::collections::{BTreeMap, HashMap};

use crate::nemesis::history::{Bucket, Event, Get, Outcome, Put, WriteId};

/// What clients did to one key.
#[derive(Debug)]
pub(super) struct KeyHistory<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) name: &'a str,
    /// In the order in which they began.
    pub(super) puts: Vec<&'a Put>,
    pub(super) gets: Vec<&'a Get>,
    places: HashMap<WriteId, usize>,
}

impl KeyHistory<'_> {
    /// The place of a write among those of this key.
    pub(super) fn place(&self, write: WriteId) -> Option<usize> {
        self.places.get(&write).copied()
    }

    /// The places of the writes that a get showed, as far as they are writes of this key.
    pub(super) fn shown(&self, get: &Get) -> Vec<usize> {
        let values = get.values.iter().flatten();
        values.filter_map(|value| self.place(value.write?)).collect()
    }
}

/// Whether a write may be in the stores.
pub(super) fn may_be_there(put: &Put) -> bool {
    matches!(put.outcome, Outcome::Applied | Outcome::Indeterminate)
}

/// The histories of the keys of a run, for the buckets that it names.
pub(super) fn by_key(history: &[Event]) -> Vec<KeyHistory<'_>> {
    let runs = history.iter().filter_map(|event| match event {
        Event::Run(run) => Some(&run.buckets),
        _ => None,
    });
    let buckets: HashMap<&str, &Bucket> =
        runs.flatten().map(|bucket| (bucket.name.as_str(), bucket)).collect();
    let mut keys: BTreeMap<(&str, &str), KeyHistory<'_>> = BTreeMap::new();
    for event in history {
        let (bucket, name) = match event {
            Event::Put(put) => (&put.bucket, &put.key),
            Event::Get(get) => (&get.bucket, &get.key),
            Event::Run(_) | Event::Fault(_) => continue,
        };
        let Some(bucket) = buckets.get(bucket.as_str()) else { continue };
        let empty =
            || KeyHistory { bucket, name, puts: Vec::new(), gets: Vec::new(), places: HashMap::new() };
        let key = keys.entry((bucket.name.as_str(), name.as_str())).or_insert_with(empty);
        match event {
            Event::Put(put) => key.puts.push(put),
            Event::Get(get) => key.gets.push(get),
            Event::Run(_) | Event::Fault(_) => {}
        }
    }
    let mut keys: Vec<KeyHistory<'_>> = keys.into_values().collect();
    for key in &mut keys {
        key.puts.sort_by_key(|put| (put.begin_us, put.write));
        key.places = key.puts.iter().enumerate().map(|(place, put)| (put.write, place)).collect();
    }
    keys
}
