use std::collections::BTreeMap;

use kv_core::ids::NodeId;
use parking_lot::Mutex;

/// Whether the last call to each peer was answered.
#[derive(Debug, Default)]
pub(super) struct PeerStates(Mutex<BTreeMap<NodeId, bool>>);

impl PeerStates {
    pub(super) fn note(&self, peer: NodeId, answered: bool) {
        let mut states = self.0.lock();
        let before = states.insert(peer, answered);
        drop(states);
        match (before, answered) {
            (Some(true) | None, false) => tracing::warn!(node = peer.0, "peer does not answer"),
            (Some(false), true) => tracing::info!(node = peer.0, "peer answers again"),
            _ => {}
        }
    }

    pub(super) fn get(&self, peer: NodeId) -> Option<bool> {
        self.0.lock().get(&peer).copied()
    }
}
