//! Takes down what clients do, while they do it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use kv_core::causality::{ContextToken, Dot, DotSet};
use kv_core::codec::Reader;
use kv_core::command::{GetAnswer, PutApplied, PutResult};
use kv_core::error::Error;

use crate::nemesis::history::{Event, Get, Injected, Outcome, Put, Replaces, Value, WriteId};

/// Bytes of a token before what it covers: its format, and its authentication, which is the cluster's affair.
const TOKEN_HEADER: usize = 9;

/// A history that is being made.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// The names of the writes of each key, as far as clients were told.
    names: HashMap<(String, String), HashMap<Dot, WriteId>>,
    /// What the overwrites among the events replaced, by their place.
    found: Vec<(usize, DotSet)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { begun: Instant::now(), state: Mutex::default() }
    }
}

impl Recorder {
    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }

    /// Takes down a put of which all is known but how it ended; returns how it did.
    pub fn put(&self, mut put: Put, r: usize, result: &PutResult) -> Outcome {
        put.end_us = self.now_us();
        let mut named = None;
        match result {
            PutResult::Applied(PutApplied { dot: None, .. }) => put.outcome = Outcome::NothingToDelete,
            PutResult::Applied(applied) => {
                put.outcome = Outcome::Applied;
                put.dot = applied.dot.map(|dot| dot.to_string());
                put.stand_ins = applied.acks.iter().filter(|ack| ack.stands_for.is_some()).count();
                put.owners = applied.acks.len() - put.stand_ins;
                put.owners_read = r.saturating_sub(applied.stand_ins_read.into());
                named = applied.dot;
            }
            PutResult::NotApplied(error) => {
                put.outcome = Outcome::NotApplied;
                put.error = Some(told(error));
            }
            PutResult::Indeterminate(error) => {
                put.outcome = Outcome::Indeterminate;
                put.error = Some(told(error));
            }
        }
        let outcome = put.outcome;
        let mut state = self.state.lock().unwrap();
        if let Some(dot) = named {
            state.names.entry((put.bucket.clone(), put.key.clone())).or_default().insert(dot, put.write);
        }
        if let (Replaces::Overwrite(_), PutResult::Applied(applied)) = (&put.replaces, result) {
            let place = state.events.len();
            state.found.push((place, covered(&applied.context)));
        }
        state.events.push(Event::Put(put));
        outcome
    }

    /// Takes down a get of which all is known but what it brought; returns the writes that it showed.
    pub fn get(&self, mut get: Get, r: usize, result: &Result<GetAnswer, Error>) -> Vec<WriteId> {
        get.end_us = self.now_us();
        let mut state = self.state.lock().unwrap();
        let mut shown = Vec::new();
        match result {
            Ok(answer) => {
                get.owners = r.saturating_sub(answer.stand_ins.into());
                let names = state.names.entry((get.bucket.clone(), get.key.clone())).or_default();
                let values = answer.values.iter().map(|sibling| {
                    let write = number(&sibling.value);
                    if let Some(write) = write {
                        names.entry(sibling.dot).or_insert(write);
                        shown.push(write);
                    }
                    Value { write, dot: sibling.dot.to_string() }
                });
                get.values = Some(values.collect());
            }
            Err(error) => get.error = Some(told(error)),
        }
        state.events.push(Event::Get(get));
        shown
    }

    /// Takes down a fault.
    pub fn fault(&self, fault: Injected) {
        self.state.lock().unwrap().events.push(Event::Fault(fault));
    }

    /// The history, in the order in which operations ended. Now it is known which writes the overwrites replaced.
    pub fn history(&self) -> Vec<Event> {
        let state = self.state.lock().unwrap();
        let mut events = state.events.clone();
        for (place, dots) in &state.found {
            let Event::Put(put) = &mut events[*place] else { continue };
            let names = state.names.get(&(put.bucket.clone(), put.key.clone()));
            let named = names.into_iter().flatten().filter(|(dot, _)| dots.contains(**dot));
            let mut writes: Vec<WriteId> =
                named.map(|(_, write)| *write).filter(|write| *write != put.write).collect();
            writes.sort_unstable();
            put.replaces = Replaces::Overwrite(Some(writes));
        }
        events
    }
}

/// The value of a write: its number, and a length that follows from it, so that any alteration shows.
pub fn value(write: WriteId) -> String {
    let mut value = format!("{write} ");
    value.extend(std::iter::repeat_n('.', 60 + (write % 64) as usize));
    value
}

fn number(bytes: &[u8]) -> Option<WriteId> {
    let write = std::str::from_utf8(bytes).ok()?.split(' ').next()?.parse().ok()?;
    (value(write).as_bytes() == bytes).then_some(write)
}

/// The dots that a token covers. To clients it is opaque; a judge may look.
fn covered(token: &ContextToken) -> DotSet {
    let mut reader = Reader::new(token.as_bytes().get(TOKEN_HEADER..).unwrap_or_default());
    let dots = reader.varint().and_then(|_stamp| DotSet::decode(&mut reader));
    dots.unwrap_or_default()
}

fn told(error: &Error) -> String {
    let mut text = format!("{}: {error}", error.kind().name());
    text.truncate(text.char_indices().nth(300).map_or(text.len(), |(at, _)| at));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_its_number_and_no_other_bytes_are() {
        assert_eq!(number(value(17).as_bytes()), Some(17));
        assert_eq!(number(value(17).trim_end_matches('.').as_bytes()), None);
        assert_eq!(number(b"18 ...."), None);
    }
}
