//! The cluster of `three_nodes` with one component swapped: a resolver that makes one set of the sets that two writers stored
//! without knowing of each other.
//!
//! `cargo run -p kv-net --example swapped_resolver`

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv_core::bucket::BucketProperties;
use kv_core::command::{Get, Put, Replace};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::partitioner::Xxh3Partitioner;
use kv_core::storage::MemoryStorage;
use kv_core::view::Plugins;
use kv_core::wire::BucketChange;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Client, Node, NodeConfig};

/// A value is a set of words, one on each line; concurrent sets become their union.
fn union(values: &[&[u8]]) -> Option<Bytes> {
    let words: BTreeSet<&[u8]> = values.iter().flat_map(|value| value.split(|byte| *byte == b'\n')).collect();
    let words: Vec<&[u8]> = words.into_iter().collect();
    Some(words.join(&b'\n').into())
}

/// Starts the nodes with the resolver, makes a bucket that uses it, and has two writers meet.
pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let network = LocalNetwork::new();
    let members = [1, 2, 3].map(|id| Member::new(NodeId(id), id.to_string())).to_vec();
    let plugins = Plugins::new(Xxh3Partitioner).with_combine("set_union", union);
    let mut nodes = Vec::new();
    for member in &members {
        let config = NodeConfig {
            members: members.clone(),
            plugins: plugins.clone(),
            ..NodeConfig::new(member.id, MemoryStorage::new())
        };
        let transport = network.join(member.id);
        let identity = Arc::new(Identity::node(member.id, None));
        nodes.push(Node::start(config, transport, identity, Arc::new(AddressBook::new())).await?);
    }
    nodes.first().ok_or("three nodes were started")?.init().await?;

    let client = Client::builder().seed("1").transport(network.client()).build()?;
    let properties = BucketProperties { resolver: "set_union".into(), ..BucketProperties::default() };
    client.change_bucket(BucketChange::Create("carts".into(), properties)).await?;

    let key = Key::try_from("cart/7")?;
    for items in ["apples\nbread", "bread\ncheese"] {
        // Neither writer has read what the other wrote.
        let put = Put { replace: Replace::Nothing, ..Put::new("carts", key.clone(), items) };
        client.put(put).await.into_result()?;
    }
    let got = client.get(Get::new("carts", key.clone())).await?;
    let [cart] = got.values.as_slice() else { return Err("combined values are one value".into()) };
    assert_eq!(cart.value, "apples\nbread\ncheese");
    println!("the cart of both: {:?}", cart.value);

    // What was combined is stored when somebody puts it back with the context of the get.
    let put = Put::new("carts", key, cart.value.clone()).with_context(got.context);
    client.put(put).await.into_result()?;

    for node in &nodes {
        node.shut_down(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}
