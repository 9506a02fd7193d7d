use std::collections::BTreeMap;

use kv_core::command::PutResult;
use kv_core::error::{Error, ErrorKind};
use kv_core::wire::AnswerBody;
use parking_lot::Mutex;

/// Requests that were refused before they became operations, by the kind of the error.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<ErrorKind, u64>>);

impl Refusals {
    pub(super) fn note(&self, kind: ErrorKind) {
        *self.0.lock().entry(kind).or_default() += 1;
    }

    /// Takes note of the answer to a request that is answered at the door, if it refuses it.
    pub(super) fn note_answer(&self, body: &AnswerBody) {
        if let AnswerBody::Refused(error)
        | AnswerBody::Get(Err(error))
        | AnswerBody::Scan(Err(error))
        | AnswerBody::Put(PutResult::NotApplied(error)) = body
        {
            self.note(error.kind());
        }
    }

    /// Takes note of an error on its way to whoever asked.
    pub(super) fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.note(error.kind()))
    }

    pub(super) fn get(&self) -> BTreeMap<ErrorKind, u64> {
        self.0.lock().clone()
    }
}
