//! Nodes in this process with front doors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kv_core::ids::NodeId;
use kv_core::layout::Member;
use kv_core::limits::Limits;
use kv_core::storage::MemoryStorage;
use kv_net::resp::{RequestLimits, RespListener, RespOptions, RespServer};
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};

/// Nodes in this process, each with a front door.
#[derive(Debug)]
pub struct Served {
    doors: Vec<(SocketAddr, RespServer)>,
    nodes: Vec<Arc<Node>>,
}

impl Served {
    /// Starts that many nodes in memory, whose doors bound requests by `limits`, or by their own limits if there are none.
    ///
    /// # Errors
    ///
    /// If they do not start.
    pub async fn start(count: u64, limits: Option<RequestLimits>) -> anyhow::Result<Self> {
        let network = LocalNetwork::new();
        let members: Vec<Member> = (1..=count).map(|id| Member::new(NodeId(id), id.to_string())).collect();
        let (mut doors, mut nodes) = (Vec::new(), Vec::new());
        for member in &members {
            let config =
                NodeConfig { members: members.clone(), ..NodeConfig::new(member.id, MemoryStorage::new()) };
            let identity = Arc::new(Identity::node(member.id, None));
            let transport = network.join(member.id);
            nodes.push(Arc::new(
                Node::start(config, transport, identity, Arc::new(AddressBook::new())).await?,
            ));
        }
        nodes[0].init().await?;
        for node in &nodes {
            // The others learn of their cluster a moment later.
            while node.is_ready().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let listener = RespListener::bind("127.0.0.1:0")?;
            let address = listener.local_address()?;
            let mut options = RespOptions::of(&Limits::default());
            options.limits = limits.unwrap_or(options.limits);
            doors.push((address, listener.serve(node.clone(), options)?));
        }
        Ok(Served { doors, nodes })
    }

    /// Where a node's door is; nodes are counted around.
    pub fn address(&self, node: usize) -> SocketAddr {
        self.doors[node % self.doors.len()].0
    }

    /// Stops everything.
    pub async fn stop(self) {
        for (_, door) in self.doors {
            door.shut_down(Duration::from_secs(1)).await;
        }
        for node in self.nodes {
            node.shut_down(Duration::from_secs(1)).await;
        }
    }
}
