use crate::command::{GetAnswer, PutResult};
use crate::error::{Error, ErrorKind};
use crate::ids::OpId;
use crate::machine::Outcome;

/// An operation over many keys: waits until each has ended for itself.
#[derive(Debug)]
pub(super) struct Many<T> {
    asker: Asker<T>,
    left: usize,
    parts: Parts,
}

/// Who waits for all of them.
#[derive(Debug)]
pub(super) enum Asker<T> {
    /// Somebody outside.
    Ticket(T),
    /// A scan.
    Scan(OpId),
    /// Anti-entropy.
    Repair,
}

#[derive(Debug)]
enum Parts {
    Gets(Vec<Option<Result<GetAnswer, Error>>>),
    Puts(Vec<Option<PutResult>>),
}

/// How one key ended.
#[derive(Debug)]
pub(super) enum Part {
    Get(Result<GetAnswer, Error>),
    Put(PutResult),
}

impl<T> Many<T> {
    pub(super) fn gets(asker: Asker<T>, keys: usize) -> Self {
        Many { asker, left: keys, parts: Parts::Gets((0..keys).map(|_| None).collect()) }
    }

    pub(super) fn puts(ticket: T, keys: usize) -> Self {
        Many {
            asker: Asker::Ticket(ticket),
            left: keys,
            parts: Parts::Puts((0..keys).map(|_| None).collect()),
        }
    }

    /// Whether no client asked for it.
    pub(super) fn is_internal(&self) -> bool {
        matches!(self.asker, Asker::Scan(_) | Asker::Repair)
    }

    /// Takes in how the key at `index` ended, and says whether it was the last.
    pub(super) fn take(&mut self, index: usize, part: Part) -> bool {
        let fresh = match (&mut self.parts, part) {
            (Parts::Gets(parts), Part::Get(result)) => fill(parts, index, result),
            (Parts::Puts(parts), Part::Put(result)) => fill(parts, index, result),
            _ => false,
        };
        self.left -= usize::from(fresh);
        self.left == 0
    }

    pub(super) fn into_outcome(self) -> (Asker<T>, Outcome) {
        let lost = || Error::new(ErrorKind::Internal, "a key of the request was never answered");
        let outcome = match self.parts {
            Parts::Gets(parts) => {
                Outcome::GetMany(parts.into_iter().map(|part| part.unwrap_or_else(|| Err(lost()))).collect())
            }
            Parts::Puts(parts) => Outcome::PutMany(
                parts
                    .into_iter()
                    .map(|part| part.unwrap_or_else(|| PutResult::Indeterminate(lost())))
                    .collect(),
            ),
        };
        (self.asker, outcome)
    }
}

fn fill<P>(parts: &mut [Option<P>], index: usize, part: P) -> bool {
    match parts.get_mut(index) {
        Some(place @ None) => {
            *place = Some(part);
            true
        }
        _ => false,
    }
}
