//! The transport of a node.

use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::transport::{CallError, FrameHandler, Sender, Transport};
use parking_lot::{Mutex, RwLock};

use super::dialer::{Dialer, Target};
use super::endpoint::Endpoint;
use super::lifecycle::Lifecycle;
use super::listener::{PeerSeen, accept, adopt};
use super::options::TarpcOptions;
use super::serving::Host;
use super::socket;
use crate::transport::address_book::AddressBook;
use crate::transport::identity::Identity;

type Peers = RwLock<HashMap<NodeId, Arc<Endpoint>>>;

/// Carries frames between nodes over TCP.
///
/// It lives in tokio: [`start`](Transport::start) and [`call`](Transport::call) are to be awaited in a runtime with time and I/O
/// enabled. Calls may come from several runtimes. A connection belongs to the runtime whose call made it, and is made again when
/// that runtime has gone.
pub struct TarpcTransport {
    dialer: Arc<Dialer>,
    listener: Mutex<Option<TcpListener>>,
    local_address: SocketAddr,
    peers: Arc<Peers>,
    /// The connections that carry only what must not wait behind large frames.
    apart: Arc<Peers>,
}

impl fmt::Debug for TarpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarpcTransport")
            .field("identity", &self.dialer.identity)
            .field("local_address", &self.local_address)
            .finish_non_exhaustive()
    }
}

impl TarpcTransport {
    /// Takes the address `listen` (`host:port`; port 0 lets the operating system choose). Nothing is accepted before
    /// [`start`](Transport::start).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] if `identity` is a client's, [`ErrorKind::ConnectionFailed`] if the address cannot be
    /// had.
    pub fn bind(
        listen: &str,
        identity: Arc<Identity>,
        addresses: Arc<AddressBook>,
        options: TarpcOptions,
    ) -> Result<Self, Error> {
        if matches!(identity.role(), Sender::Client | Sender::Peer(NodeId(0))) {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "the transport of a node needs the identity of a node, whose id is not 0",
            ));
        }
        let unusable = |error: std::io::Error| {
            let what = format!("cannot listen on {listen}: choose another address or stop what uses it");
            Error::new(ErrorKind::ConnectionFailed, what).with_source(error)
        };
        let listener = socket::listen(listen).map_err(unusable)?;
        let local_address = listener.local_addr().map_err(unusable)?;
        let dialer = Dialer { identity, addresses, options, lifecycle: Arc::new(Lifecycle::default()) };
        Ok(TarpcTransport {
            dialer: Arc::new(dialer),
            listener: Mutex::new(Some(listener)),
            local_address,
            peers: Arc::default(),
            apart: Arc::default(),
        })
    }

    /// The address that was taken, with the port that the operating system chose.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    fn peer(&self, peers: &Peers, node: NodeId) -> Result<Arc<Endpoint>, CallError> {
        if let Some(endpoint) = peers.read().get(&node) {
            return Ok(endpoint.clone());
        }
        // Only nodes that have an address get an entry, so that the address book bounds this map.
        if self.dialer.addresses.get(node).is_none() {
            return Err(CallError::NotSent(
                ErrorKind::ConnectionFailed,
                format!("no address is known for node {node}"),
            ));
        }
        let endpoint = Endpoint::new(self.dialer.clone(), Target::Node(node));
        Ok(peers.write().entry(node).or_insert_with(|| Arc::new(endpoint)).clone())
    }
}

#[async_trait]
impl Transport for TarpcTransport {
    async fn start(&self, handler: Arc<dyn FrameHandler>) -> Result<(), Error> {
        let listener = self.listener.lock().take().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "a transport is started once, and not after its shut_down",
            )
        })?;
        let listener = adopt(listener).map_err(|error| {
            Error::new(ErrorKind::ConnectionFailed, format!("cannot listen on {}", self.local_address))
                .with_source(error)
        })?;
        let host = Arc::new(Host {
            identity: self.dialer.identity.clone(),
            handler,
            options: self.dialer.options.clone(),
            lifecycle: self.dialer.lifecycle.clone(),
        });
        let accepting = accept(listener, host, forget_failures_of([&self.peers, &self.apart]));
        self.dialer.lifecycle.connections.spawn(accepting);
        Ok(())
    }

    async fn call(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let endpoint = self.peer(&self.peers, peer)?;
        endpoint.call(frame, deadline).await
    }

    async fn call_apart(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let endpoint = self.peer(&self.apart, peer)?;
        endpoint.call(frame, deadline).await
    }

    async fn shut_down(&self, grace: Duration) {
        self.listener.lock().take();
        for peers in [&self.peers, &self.apart] {
            for endpoint in peers.read().values() {
                endpoint.close();
            }
        }
        self.dialer.lifecycle.shut_down(grace).await;
    }
}

impl Drop for TarpcTransport {
    fn drop(&mut self) {
        self.dialer.lifecycle.abandon();
    }
}

/// A peer that connects to this node can be reached again: its failures are forgotten.
fn forget_failures_of(all: [&Arc<Peers>; 2]) -> PeerSeen {
    let all: [Weak<Peers>; 2] = all.map(Arc::downgrade);
    Arc::new(move |sender| {
        let Sender::Peer(node) = sender else { return };
        for peers in all.iter().filter_map(Weak::upgrade) {
            if let Some(endpoint) = peers.read().get(&node) {
                endpoint.forget_failures();
            }
        }
    })
}
