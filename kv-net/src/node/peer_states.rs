use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::transport::CallError;
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
    /// Takes note of a call with a frame of `sent` bytes, and what came of it.
    pub(super) fn note(&self, peer: NodeId, sent: usize, result: &Result<Bytes, CallError>) {
        let (answers, received) = (result.is_ok(), result.as_ref().map_or(0, Bytes::len));
        let mut states = self.0.lock();
        let state = states.entry(peer).or_default();
        // What this node itself did not send says nothing of the peer.
        let is_told = !matches!(result, Err(CallError::NotSent(kind, _)) if is_our_own(*kind));
        let before = if is_told { state.answers.replace(answers) } else { Some(answers) };
        state.answered += u64::from(answers);
        state.failed += u64::from(!answers);
        state.sent_bytes += sent as u64;
        state.received_bytes += received as u64;
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

/// Whether a call that failed for that reason was never sent because of this node's own bounds.
fn is_our_own(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Overloaded | ErrorKind::FrameTooLarge | ErrorKind::ShuttingDown)
}
