use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::node::shared::Shared;

/// How often a node looks how much space its store has, while little is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A writer that has written so much of `free_bytes_min` looks again at once: one part in eight.
const LOOK_AFTER_PART: u64 = 8;

/// And not before it has written as much as this, however little is to stay free.
const LOOK_AFTER_MIN: u64 = 1 << 20;

impl Shared {
    /// Looks how much space the store has, and takes writes or does not from then on.
    pub(super) fn look_at_space(&self) {
        let limits = &self.config.limits;
        self.written_unseen.store(0, Ordering::Relaxed);
        // A store that cannot tell now says so in other ways.
        let Ok(stats) = self.config.store.stats() else { return };
        if self.space.note(stats.bytes_free, limits) {
            match self.space.low() {
                Some(low) => tracing::warn!("the node takes no writes: {low}"),
                None => {
                    tracing::info!(bytes_free = stats.bytes_free, "there is space, the node takes writes")
                }
            }
        }
    }

    /// Takes note that the writer stored `bytes`, and looks at the space when that has become much.
    pub(super) fn wrote(&self, bytes: usize) {
        let written = self.written_unseen.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if written > (self.config.limits.free_bytes_min / LOOK_AFTER_PART).max(LOOK_AFTER_MIN) {
            self.look_at_space();
        }
    }
}

/// Looks at the space until the node is gone.
pub(super) async fn watch(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopped.borrow().is_some() {
            return;
        }
        if shared.config.store.capabilities().reads_may_block {
            // A task that panics says so itself.
            let _ = tokio::task::spawn_blocking(move || shared.look_at_space()).await;
        } else {
            shared.look_at_space();
        }
    }
}
