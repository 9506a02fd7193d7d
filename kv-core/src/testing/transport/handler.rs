//! The handler behind every transport of the suite: the first byte of a frame tells it what to do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::concurrency::Gate;
use crate::ids::NodeId;
use crate::transport::{FrameHandler, Sender};

/// Answers with the frame turned round.
pub(super) const REVERSE: u8 = b'r';
/// Waits at the gate, then answers with the frame turned round.
pub(super) const HOLD: u8 = b'h';
/// Never answers.
pub(super) const NEVER: u8 = b'n';
/// Answers with who the sender is.
pub(super) const WHO: u8 = b'w';
/// Answers with as many bytes as the rest of the frame says in decimal digits.
pub(super) const GROW: u8 = b'g';

/// Remembers what it was given.
#[derive(Debug, Default)]
pub(super) struct ScriptedHandler {
    pub(super) gate: Gate,
    given: Mutex<HashMap<Bytes, usize>>,
    finished: Mutex<HashMap<Bytes, usize>>,
}

impl ScriptedHandler {
    /// How often it was given this frame.
    pub(super) fn given(&self, frame: &Bytes) -> usize {
        count(&self.given, frame)
    }

    /// How often it has finished with this frame.
    pub(super) fn finished(&self, frame: &Bytes) -> usize {
        count(&self.finished, frame)
    }

    /// How many frames it was given.
    pub(super) fn given_in_all(&self) -> usize {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

fn count(counts: &Mutex<HashMap<Bytes, usize>>, frame: &Bytes) -> usize {
    counts.lock().unwrap_or_else(PoisonError::into_inner).get(frame).copied().unwrap_or(0)
}

fn add(counts: &Mutex<HashMap<Bytes, usize>>, frame: &Bytes) {
    *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(frame.clone()).or_default() += 1;
}

/// The right answer to [`REVERSE`], [`HOLD`] and to an empty frame.
pub(super) fn reversed(frame: &[u8]) -> Bytes {
    frame.iter().rev().copied().collect()
}

/// The right answer to [`WHO`].
pub(super) fn name_of(sender: Sender) -> Bytes {
    match sender {
        Sender::Peer(NodeId(id)) => format!("node {id}").into(),
        Sender::Client => "client".into(),
    }
}

#[async_trait]
impl FrameHandler for ScriptedHandler {
    async fn handle(&self, sender: Sender, frame: Bytes) -> Bytes {
        add(&self.given, &frame);
        let answer = match frame.first() {
            Some(&HOLD) => {
                self.gate.passed().await;
                reversed(&frame)
            }
            Some(&NEVER) => std::future::pending().await,
            Some(&WHO) => name_of(sender),
            Some(&GROW) => {
                let digits = std::str::from_utf8(frame.get(1..).unwrap_or_default()).unwrap_or_default();
                vec![7; digits.parse().unwrap_or(0)].into()
            }
            _ => reversed(&frame),
        };
        add(&self.finished, &frame);
        answer
    }
}
