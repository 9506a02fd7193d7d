//! Networks for the conformance suite.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod mutants;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::ids::{ClusterId, NodeId};
use kv_core::testing::transport::TransportNetwork;
use kv_core::transport::{FrameHandler, Sender, Transport};
use kv_net::transport::{AddressBook, Identity, LocalNetwork, TarpcOptions, TarpcTransport};
use parking_lot::Mutex;

pub const FRAME_BYTES_MAX: usize = 1 << 20;
pub const CLUSTER: ClusterId = ClusterId(77);

/// Three nodes in this process.
#[derive(Debug)]
pub struct Local(Arc<LocalNetwork>);

impl Local {
    pub fn new() -> Self {
        Local(LocalNetwork::with_frame_bytes_max(FRAME_BYTES_MAX))
    }
}

#[async_trait]
impl TransportNetwork for Local {
    async fn join(&self, node: NodeId) -> Arc<dyn Transport> {
        self.0.join(node)
    }

    fn frame_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Three nodes over TCP.
#[derive(Debug)]
pub struct Tcp {
    addresses: Arc<AddressBook>,
    options: TarpcOptions,
    ports: Mutex<HashMap<NodeId, String>>,
}

impl Tcp {
    pub fn new() -> Self {
        Self::with(TarpcOptions::default())
    }

    pub fn with(options: TarpcOptions) -> Self {
        let options = TarpcOptions { frame_bytes_max: FRAME_BYTES_MAX, ..options };
        Tcp { addresses: Arc::default(), options, ports: Mutex::default() }
    }
}

/// An address of this machine that no other test uses, so that a port can be taken again after a restart.
pub fn own_loopback() -> String {
    let [a, b, c] = [(); 3].map(|()| rand::random_range(1..=254_u8));
    format!("127.{a}.{b}.{c}:0")
}

#[async_trait]
impl TransportNetwork for Tcp {
    async fn join(&self, node: NodeId) -> Arc<dyn Transport> {
        let listen = self.ports.lock().get(&node).cloned().unwrap_or_else(own_loopback);
        let identity = Arc::new(Identity::node(node, Some(CLUSTER)));
        let transport =
            TarpcTransport::bind(&listen, identity, self.addresses.clone(), self.options.clone()).unwrap();
        let address = transport.local_address().to_string();
        self.ports.lock().insert(node, address.clone());
        self.addresses.set(node, address);
        Arc::new(transport)
    }

    fn frame_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Answers with who the sender is.
#[derive(Debug)]
struct Who;

#[async_trait]
impl FrameHandler for Who {
    async fn handle(&self, sender: Sender, _frame: Bytes) -> Bytes {
        format!("{sender:?}").into()
    }
}

pub fn who_handler() -> Arc<dyn FrameHandler> {
    Arc::new(Who)
}
