//! Nodes over TCP for the conformance suite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kv_core::ids::NodeId;
use kv_core::testing::transport::TransportNetwork;
use kv_core::transport::Transport;
use kv_net::transport::{AddressBook, Identity, TarpcOptions, TarpcTransport};
use parking_lot::Mutex;

use super::{CLUSTER, FRAME_BYTES_MAX, own_loopback};

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
