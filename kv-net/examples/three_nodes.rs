//! Three nodes in this process: the smallest cluster that goes on when a node is gone.
//!
//! `cargo run -p kv-net --example three_nodes`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kv_core::command::{Get, Put};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::MemoryStorage;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Client, Node, NodeConfig};

/// Starts the nodes, writes and reads a key, and reads it again when one node is gone.
pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let network = LocalNetwork::new();
    let members = [1, 2, 3].map(|id| Member::new(NodeId(id), id.to_string())).to_vec();
    let mut nodes = Vec::new();
    for member in &members {
        let config =
            NodeConfig { members: members.clone(), ..NodeConfig::new(member.id, MemoryStorage::new()) };
        let transport = network.join(member.id);
        let identity = Arc::new(Identity::node(member.id, None));
        nodes.push(Node::start(config, transport, identity, Arc::new(AddressBook::new())).await?);
    }
    let [first, _, last] = nodes.as_slice() else { return Err("three nodes were started".into()) };
    first.init().await?;

    let client = Client::builder().seed("1").transport(network.client()).build()?;
    let key = Key::try_from("greeting")?;
    let put = client.put(Put::new("default", key.clone(), "hello")).await.into_result()?;
    println!("acknowledged by {} nodes", put.acks.len());

    last.shut_down(Duration::from_secs(1)).await;
    let got = client.get(Get::new("default", key)).await?;
    let values: Vec<_> = got.values.iter().map(|sibling| sibling.value.clone()).collect();
    assert_eq!(values, ["hello"]);
    println!("read with one node gone: {values:?}");

    for node in &nodes {
        node.shut_down(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}
