//! Who this process is to others, and who they are to it.

use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::ids::{ClusterId, Incarnation, NodeId};
use kv_core::transport::Sender;
use parking_lot::RwLock;

/// What this process says of itself in handshakes. Shared, because a node learns its cluster and changes its incarnation later.
#[derive(Debug)]
pub struct Identity {
    role: Sender,
    cluster: RwLock<Option<ClusterId>>,
    incarnation: AtomicU64,
    /// Counts changes of `cluster`, so that connections can tell cheaply whether theirs is out of date.
    version: AtomicU64,
}

impl Identity {
    /// The identity of a node. `cluster` is `None` until the node has been initialised or has joined.
    pub fn node(node: NodeId, cluster: Option<ClusterId>) -> Self {
        Self::of(Sender::Peer(node), cluster)
    }

    /// The identity of a client. With a `cluster` it refuses nodes of any other.
    pub fn client(cluster: Option<ClusterId>) -> Self {
        Self::of(Sender::Client, cluster)
    }

    fn of(role: Sender, cluster: Option<ClusterId>) -> Self {
        Identity {
            role,
            cluster: RwLock::new(cluster),
            incarnation: AtomicU64::new(0),
            version: AtomicU64::new(0),
        }
    }

    /// Node or client.
    pub fn role(&self) -> Sender {
        self.role
    }

    /// The cluster, if it is known.
    pub fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.read()
    }

    /// Says to which cluster this process belongs from now on. Connections that contradict it are closed.
    pub fn set_cluster(&self, cluster: ClusterId) {
        let mut current = self.cluster.write();
        if *current != Some(cluster) {
            *current = Some(cluster);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// The incarnation; 0 for clients and until one is set.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation.load(Ordering::Acquire))
    }

    /// Says in which incarnation the node is from now on.
    pub fn set_incarnation(&self, incarnation: Incarnation) {
        self.incarnation.store(incarnation.0, Ordering::Release);
    }

    /// Changes whenever the cluster does.
    #[cfg(feature = "tarpc")]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// What the other side of a connection said of itself in its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteIdentity {
    /// Node or client.
    pub role: Sender,
    /// Its cluster, if it belongs to one yet.
    pub cluster: Option<ClusterId>,
    /// Its incarnation at that time; 0 for clients.
    pub incarnation: Incarnation,
}

impl RemoteIdentity {
    /// Its node id, if it is a node.
    pub fn node(&self) -> Option<NodeId> {
        match self.role {
            Sender::Peer(node) => Some(node),
            Sender::Client => None,
        }
    }
}

/// Whether two sides may talk: those without a cluster yet may talk to anyone.
#[cfg(feature = "tarpc")]
pub(crate) fn clusters_agree(one: Option<ClusterId>, other: Option<ClusterId>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}
