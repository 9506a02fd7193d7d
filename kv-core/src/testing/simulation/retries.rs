//! Puts that are tried again: in the end, when nothing is in the way, none is made twice.

use crate::bucket::{Quorum, QuorumMode};
use crate::causality::Dot;
use crate::command::{Attempt, Put, PutResult, Replace, WriteOptions};
use crate::record::WriteId;
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Violation};
use crate::wire::{AnswerBody, RequestBody};

impl World {
    /// Tries one put of each key again, through every node, after all owners have acknowledged it.
    pub(super) fn check_retries(&mut self, violations: &mut Vec<Violation>) {
        for key in 0..self.keys.len() {
            let id = WriteId([key as u8; 16]);
            let Some(made) = self.try_put(key, self.keys[key].owners[0], Attempt::First(id)) else {
                continue;
            };
            for node in 0..self.nodes.len() {
                let again = self.try_put(key, node, Attempt::Again(id));
                if let Some(again) = again.filter(|again| *again != made) {
                    let name = &self.history.keys[key].name;
                    let message = format!("{name}: a put was made as {made} and, tried again, as {again}");
                    violations.push(Violation { check: Check::RetriesAreRecognised, message });
                }
            }
        }
    }

    fn try_put(&mut self, key: usize, node: usize, attempt: Attempt) -> Option<Dot> {
        let all = Some(Quorum::All);
        let bucket = self.fabric.plan.buckets[self.keys[key].bucket].name;
        let put = Put {
            replace: Replace::Nothing,
            options: WriteOptions {
                w: all,
                r: all,
                quorum: Some(QuorumMode::Strict),
                timeout_ms: Some(500),
                attempt,
                ..WriteOptions::default()
            },
            ..Put::new(bucket, self.keys[key].key.clone(), "tried again")
        };
        match self.ask(node, RequestBody::Put(put)) {
            Some(AnswerBody::Put(PutResult::Applied(applied))) => applied.dot,
            _ => None,
        }
    }
}
