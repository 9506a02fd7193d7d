//! Bare tarpc: a hash map in each of three processes, with no versions, no checksums, no store. The coordinator writes (reads) its own map,
//! asks both others and answers at the first answer. What a replicated put or get costs at the very least over this transport.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kv_core::ids::{ClusterId, NodeId};
use kv_core::transport::{FrameHandler, Sender, Transport};
use kv_net::transport::{AddressBook, Identity, TarpcOptions, TarpcTransport};
use tokio::sync::Mutex;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// This node, 1 to 3.
    #[arg(long)]
    id: u64,
    /// First of three ports.
    #[arg(long)]
    port: u16,
}

/// First byte of a frame: what is asked.
pub(crate) const CLIENT_PUT: u8 = 1;
pub(crate) const CLIENT_GET: u8 = 2;
const PEER_PUT: u8 = 3;
const PEER_GET: u8 = 4;

const KEY_BYTES: usize = 16;
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Handler {
    map: Arc<Mutex<HashMap<Vec<u8>, Bytes>>>,
    transport: Arc<TarpcTransport>,
    others: Vec<NodeId>,
}

#[async_trait]
impl FrameHandler for Handler {
    async fn handle(&self, _: Sender, frame: Bytes) -> Bytes {
        let (what, rest) = (frame[0], frame.slice(1..));
        let own = match what {
            CLIENT_PUT | PEER_PUT => {
                self.map.lock().await.insert(rest[..KEY_BYTES].to_vec(), rest.slice(KEY_BYTES..));
                Bytes::new()
            }
            _ => self.map.lock().await.get(&rest[..KEY_BYTES]).cloned().unwrap_or_default(),
        };
        let passed_on = match what {
            CLIENT_PUT => PEER_PUT,
            CLIENT_GET => PEER_GET,
            _ => return own,
        };
        let mut passed: Vec<u8> = frame.to_vec();
        passed[0] = passed_on;
        let passed = Bytes::from(passed);
        let calls: FuturesUnordered<_> = self
            .others
            .iter()
            .map(|peer| {
                let (transport, frame, peer) = (self.transport.clone(), passed.clone(), *peer);
                tokio::spawn(async move { transport.call(peer, frame, DEADLINE).await })
            })
            .collect();
        let mut calls = calls;
        while let Some(answer) = calls.next().await {
            if matches!(answer, Ok(Ok(_))) {
                return own;
            }
        }
        own
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let id = NodeId(options.id);
        let addresses = Arc::new(AddressBook::new());
        for other in 1..=3 {
            addresses.set(NodeId(other), format!("127.0.0.1:{}", u64::from(options.port) + other - 1));
        }
        let identity = Arc::new(Identity::node(id, Some(ClusterId(1))));
        let listen = format!("127.0.0.1:{}", u64::from(options.port) + options.id - 1);
        let bound = TarpcTransport::bind(&listen, identity, addresses, TarpcOptions::default())?;
        let transport = Arc::new(bound);
        let others = (1..=3).map(NodeId).filter(|other| *other != id).collect();
        let handler = Handler { map: Arc::default(), transport: transport.clone(), others };
        transport.start(Arc::new(handler)).await?;
        println!("ready");
        std::future::pending::<()>().await;
        Ok(())
    })
}
