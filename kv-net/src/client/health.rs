use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

/// How long a node that failed is asked after all others.
const SHUNNED: Duration = Duration::from_millis(500);

/// Which nodes failed lately.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: RwLock<HashMap<Arc<str>, Instant>>,
}

impl Health {
    pub(super) fn failed(&self, address: &Arc<str>) {
        self.failed.write().insert(address.clone(), Instant::now());
    }

    pub(super) fn answered(&self, address: &Arc<str>) {
        if !self.failed.read().is_empty() && self.failed.read().contains_key(address) {
            self.failed.write().remove(address);
        }
    }

    /// Whether the node is to be asked after the others for now.
    pub(super) fn is_shunned(&self, address: &Arc<str>) -> bool {
        let failed = self.failed.read();
        !failed.is_empty() && failed.get(address).is_some_and(|at| at.elapsed() < SHUNNED)
    }
}
