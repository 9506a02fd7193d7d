use std::sync::Arc;

use kv_core::bucket::BucketTable;
use kv_core::causality::PeerClocks;
use kv_core::view::View;

/// What a node knows once it belongs to a cluster; replaced as a whole when any of it changes.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) view: Arc<View>,
    pub(super) peers: Arc<PeerClocks>,
}

impl Live {
    pub(super) fn new(view: View) -> Self {
        let node = view.node();
        let others = view.layout.members().iter().map(|member| member.id).filter(|id| *id != node);
        Live { peers: Arc::new(PeerClocks::new(others)), view: Arc::new(view) }
    }

    pub(super) fn with_table(&self, table: BucketTable) -> Self {
        Live { view: Arc::new(self.view.with_table(table)), peers: self.peers.clone() }
    }
}
