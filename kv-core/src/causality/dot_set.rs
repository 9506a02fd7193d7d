use smallvec::SmallVec;

use crate::causality::{Actor, Dot};
use crate::codec::{DecodeError, Output, Reader, put_varint};
use crate::mutants::{self, Mutant};

/// An exact set of dots: per actor all counters up to one, and the single counters above it (a version vector with exceptions;
/// Preguiça et al., "Dotted version vectors", 2010). Nothing is ever rounded up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DotSet {
    // Ascending by actor; no entry is empty. `above` is ascending and its first element is greater than `upto` + 1.
    entries: SmallVec<[Entry; 2]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    actor: Actor,
    upto: u64,
    above: Vec<u64>,
}

impl Entry {
    fn contains(&self, counter: u64) -> bool {
        counter <= self.upto || self.above.binary_search(&counter).is_ok()
    }

    fn absorb(&mut self) {
        let run = self.above.iter().take_while(|counter| {
            let follows = **counter <= self.upto.saturating_add(1);
            self.upto = self.upto.max(if follows { **counter } else { 0 });
            follows
        });
        let absorbed = run.count();
        self.above.drain(..absorbed);
    }

    fn insert(&mut self, counter: u64) {
        if counter <= self.upto {
            return;
        }
        if mutants::on(Mutant::ContextIsRoundedUp) {
            self.upto = counter;
            return;
        }
        if let Err(place) = self.above.binary_search(&counter) {
            self.above.insert(place, counter);
            self.absorb();
        }
    }

    fn union(&mut self, other: &Entry) {
        self.upto = self.upto.max(other.upto);
        if !other.above.is_empty() {
            self.above.extend_from_slice(&other.above);
            self.above.sort_unstable();
            self.above.dedup();
        }
        self.absorb();
    }

    fn intersection(&self, other: &Entry) -> Entry {
        let upto = self.upto.min(other.upto);
        let mut above: Vec<u64> = self
            .above
            .iter()
            .chain(&other.above)
            .copied()
            .filter(|counter| *counter > upto && self.contains(*counter) && other.contains(*counter))
            .collect();
        // Counters that one side holds in its run and the other singly are in neither `above` pairwise order.
        above.sort_unstable();
        above.dedup();
        let mut entry = Entry { actor: self.actor, upto, above };
        entry.absorb();
        entry
    }

    fn highest(&self) -> u64 {
        self.above.last().copied().unwrap_or(self.upto)
    }
}

impl DotSet {
    /// The empty set.
    pub fn new() -> Self {
        DotSet::default()
    }

    /// Whether no dot is in the set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of actors that have dots in the set.
    pub fn actors(&self) -> usize {
        self.entries.len()
    }

    /// Whether `dot` is in the set.
    pub fn contains(&self, dot: Dot) -> bool {
        self.find(dot.actor)
            .ok()
            .and_then(|place| self.entries.get(place))
            .is_some_and(|entry| entry.contains(dot.counter))
    }

    /// The highest counter of `actor` in the set, or 0.
    pub fn highest(&self, actor: Actor) -> u64 {
        self.find(actor).ok().and_then(|place| self.entries.get(place)).map_or(0, Entry::highest)
    }

    /// Adds one dot. Counters start at 1: a dot with counter 0 is no dot and is ignored.
    pub fn insert(&mut self, dot: Dot) {
        if dot.counter == 0 {
            return;
        }
        match self.find(dot.actor) {
            Ok(place) => {
                if let Some(entry) = self.entries.get_mut(place) {
                    entry.insert(dot.counter);
                }
            }
            Err(place) => {
                let mut entry = Entry { actor: dot.actor, upto: 0, above: Vec::new() };
                entry.insert(dot.counter);
                self.entries.insert(place, entry);
            }
        }
    }

    /// Adds every dot of `other`.
    pub fn union(&mut self, other: &DotSet) {
        for theirs in &other.entries {
            match self.find(theirs.actor) {
                Ok(place) => {
                    if let Some(ours) = self.entries.get_mut(place) {
                        ours.union(theirs);
                    }
                }
                Err(place) => self.entries.insert(place, theirs.clone()),
            }
        }
    }

    /// The dots that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &DotSet) -> DotSet {
        let entries = self
            .entries
            .iter()
            .filter_map(|ours| {
                let theirs = other.entries.get(other.find(ours.actor).ok()?)?;
                Some(ours.intersection(theirs))
            })
            .filter(|entry| entry.upto > 0 || !entry.above.is_empty())
            .collect();
        DotSet { entries }
    }

    /// The first actor that has dots in the set.
    pub fn first_actor(&self) -> Option<Actor> {
        self.entries.first().map(|entry| entry.actor)
    }

    /// The dots of each actor, as a set of its own, ascending by actor.
    pub fn by_actor(&self) -> impl Iterator<Item = DotSet> {
        self.entries.iter().map(|entry| DotSet { entries: smallvec::smallvec![entry.clone()] })
    }

    /// The set less the actors all of whose dots are in `other`. An actor of which something is left keeps everything.
    #[must_use]
    pub fn without_actors_of(&self, other: &DotSet) -> DotSet {
        let is_left = |ours: &&Entry| {
            let theirs = other.find(ours.actor).ok().and_then(|place| other.entries.get(place));
            theirs.is_none_or(|theirs| ours.intersection(theirs) != **ours)
        };
        DotSet { entries: self.entries.iter().filter(is_left).cloned().collect() }
    }

    /// Whether every dot of `other` is in this set.
    pub fn is_superset(&self, other: &DotSet) -> bool {
        self.intersection(other) == *other
    }

    /// Appends the set's canonical encoding: equal sets have equal bytes.
    pub fn encode(&self, out: &mut impl Output) {
        put_varint(out, self.entries.len() as u64);
        for entry in &self.entries {
            encode_actor(out, entry.actor);
            put_varint(out, entry.upto);
            put_varint(out, entry.above.len() as u64);
            let mut last = entry.upto;
            for counter in &entry.above {
                put_varint(out, counter - last);
                last = *counter;
            }
        }
    }

    /// Decodes a set, refusing every encoding but the canonical one.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what is wrong and where.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // An entry takes at least 11 bytes, so what is there bounds what is allocated.
        let count = reader.count(11)?;
        let mut entries: SmallVec<[Entry; 2]> = SmallVec::with_capacity(count);
        for _ in 0..count {
            let actor = decode_actor(reader)?;
            if entries.last().is_some_and(|last| last.actor >= actor) {
                return Err(reader.error("actors are not ascending"));
            }
            let upto = reader.varint()?;
            let singles = reader.count(1)?;
            if upto == 0 && singles == 0 {
                return Err(reader.error("actor without dots"));
            }
            let mut above = Vec::with_capacity(singles);
            let mut last = upto;
            for index in 0..singles {
                let step = reader.varint()?;
                let least = if index == 0 { 2 } else { 1 };
                let next = last.checked_add(step).filter(|_| step >= least);
                last = next.ok_or_else(|| reader.error("counters are not canonical"))?;
                above.push(last);
            }
            entries.push(Entry { actor, upto, above });
        }
        Ok(DotSet { entries })
    }

    fn find(&self, actor: Actor) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&actor, |entry| entry.actor)
    }
}

impl FromIterator<Dot> for DotSet {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut set = DotSet::new();
        for dot in dots {
            set.insert(dot);
        }
        set
    }
}

/// Appends an actor: 8 bytes of incarnation (random, so a varint would only be longer) and the birth.
pub(crate) fn encode_actor(out: &mut impl Output, actor: Actor) {
    out.put_all(&actor.incarnation.0.to_le_bytes());
    put_varint(out, actor.birth);
}

pub(crate) fn decode_actor(reader: &mut Reader<'_>) -> Result<Actor, DecodeError> {
    let incarnation = crate::ids::Incarnation(reader.u64()?);
    Ok(Actor { incarnation, birth: reader.varint()? })
}

#[cfg(test)]
mod tests;
