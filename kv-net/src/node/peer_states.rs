use std::collections::BTreeMap;

use kv_core::ids::NodeId;
use parking_lot::Mutex;

/// What became of this node's calls to each peer.
#[derive(Debug, Default)]
pub(super) struct PeerStates(Mutex<BTreeMap<NodeId, PeerFigures>>);

/// What became of a node's calls to one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerFigures {
    /// Whether the last call was answered, if there was one.
    pub answers: Option<bool>,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that were not.
    pub failed: u64,
    /// Bytes of the frames of all calls, also of those that could not be sent.
    pub sent_bytes: u64,
    /// Bytes of the frames that answered them.
    pub received_bytes: u64,
}

impl PeerStates {
    /// Takes note of a call with a frame of `sent` bytes, answered with so many or not at all.
    pub(super) fn note(&self, peer: NodeId, sent: usize, received: Option<usize>) {
        let answers = received.is_some();
        let mut states = self.0.lock();
        let state = states.entry(peer).or_default();
        let before = state.answers.replace(answers);
        state.answered += u64::from(answers);
        state.failed += u64::from(!answers);
        state.sent_bytes += sent as u64;
        state.received_bytes += received.unwrap_or(0) as u64;
        drop(states);
        match (before, answers) {
            (Some(true) | None, false) => tracing::warn!(node = peer.0, "peer does not answer"),
            (Some(false), true) => tracing::info!(node = peer.0, "peer answers again"),
            _ => {}
        }
    }

    pub(super) fn get(&self, peer: NodeId) -> PeerFigures {
        self.0.lock().get(&peer).copied().unwrap_or_default()
    }
}
