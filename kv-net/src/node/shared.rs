use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use kv_core::causality::Clock;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::Incarnation;
use kv_core::machine::{Door, NodeMachine};
use kv_core::replica::{Partitions, Space, StandIns};
use kv_core::time::Now;
use kv_core::transport::Transport;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::node::NodeConfig;
use crate::node::commits::CommitFigures;
use crate::node::live::Live;
use crate::node::local_gets::LocalGets;
use crate::node::peer_states::PeerStates;
use crate::node::queue::MutationQueue;
use crate::node::refusals::Refusals;
use crate::node::spans::Tracer;
use crate::node::ticket::Ticket;
use crate::transport::{AddressBook, Identity};

/// Everything that the parts of a node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: NodeConfig,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) identity: Arc<Identity>,
    pub(super) addresses: Arc<AddressBook>,
    /// Where calls are made from threads that have no runtime of their own.
    pub(super) runtime: Handle,
    pub(super) live: ArcSwapOption<Live>,
    pub(super) machine: Mutex<NodeMachine<Ticket>>,
    pub(super) clock: Arc<Clock>,
    pub(super) incarnation: AtomicU64,
    /// What the store keeps for absent owners.
    pub(super) stand_ins: Arc<StandIns>,
    /// What the store holds of each partition.
    pub(super) partitions: Arc<Partitions>,
    /// Whether the store has room for what clients write.
    pub(super) space: Arc<Space>,
    /// Bytes that were written since it was last looked how much space there is.
    pub(super) written_unseen: AtomicU64,
    pub(super) tracer: Tracer,
    pub(super) local_gets: LocalGets,
    pub(super) refusals: Refusals,
    pub(super) queue: MutationQueue,
    pub(super) commits: Mutex<CommitFigures>,
    /// Versions that arrived at this node's store and that a resolver let go for concurrent ones.
    pub(super) versions_discarded: AtomicU64,
    pub(super) draining: AtomicBool,
    /// Why the node had to stop, once it had to.
    pub(super) stopped: watch::Sender<Option<Error>>,
    pub(super) timer: Notify,
    pub(super) timer_sleeps: AtomicBool,
    pub(super) peer_states: PeerStates,
    /// Held by whoever changes the bucket table or joins a cluster.
    pub(super) administration: tokio::sync::Mutex<()>,
    /// What the node knows of its cluster has changed.
    pub(super) changed: Notify,
    pub(super) synchronising: AtomicBool,
    /// Held by whoever removes what deleted buckets left behind.
    pub(super) sweeping: tokio::sync::Mutex<()>,
    /// Whether the other members were called after the start, or there are none.
    pub(super) greeted: AtomicBool,
    pub(super) started: Instant,
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        // Monotonic time starts where the node does; an hour is added so that nothing lies before zero.
        let monotonic_us = self.started.elapsed().as_micros() as u64 + 3_600_000_000;
        Now { monotonic_us, wall_ms: wall_ms() }
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation.load(Ordering::Acquire))
    }

    pub(super) fn set_incarnation(&self, incarnation: Incarnation) {
        self.incarnation.store(incarnation.0, Ordering::Release);
        self.identity.set_incarnation(incarnation);
    }

    pub(super) fn door<'a>(&'a self, live: &'a Live) -> Door<'a> {
        Door {
            view: &live.view,
            clock: &self.clock,
            peers: &live.peers,
            incarnation: self.incarnation(),
            store: &*self.config.store,
            partitions: &self.partitions,
        }
    }

    /// What the node knows of its cluster, unless it has none or takes no requests any more.
    pub(super) fn open(&self) -> Result<Arc<Live>, Error> {
        if let Some(error) = &*self.stopped.borrow() {
            return Err(error.clone());
        }
        self.live.load_full().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "this node belongs to no cluster yet: run kv cluster init against one of the members",
            )
        })
    }

    /// Like [`Shared::open`] for what begins an operation: not while the node is shutting down.
    pub(super) fn open_for_operations(&self) -> Result<Arc<Live>, Error> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::ShuttingDown, "this node is shutting down: use another"));
        }
        self.open()
    }

    /// Stops the node for good: after a commit of unknown outcome nothing that the store says can be trusted.
    pub(super) fn stop(&self, error: Error) {
        tracing::error!(%error, "the node stops");
        self.queue.close();
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            if first {
                *stopped = Some(error);
            }
            first
        });
    }
}

/// Milliseconds since 1970 on the clock of this machine.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
