//! Changes of the bucket table while members are down or cut off.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Get, Put};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::{Batch, Durability, MemoryStorage, Page, ScanRange, Storage};
use kv_core::wire::BucketChange;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};

const GRACE: Duration = Duration::from_secs(1);

struct Cluster {
    network: Arc<LocalNetwork>,
    stores: Vec<Arc<MemoryStorage>>,
    nodes: Vec<Node>,
}

impl Cluster {
    async fn start() -> Cluster {
        let stores = (0..3).map(|_| Arc::new(MemoryStorage::new())).collect();
        let mut cluster = Cluster { network: LocalNetwork::new(), stores, nodes: Vec::new() };
        for index in 0..3 {
            let node = cluster.node(index).await;
            cluster.nodes.push(node);
        }
        cluster.nodes[0].init().await.unwrap();
        cluster
    }

    async fn node(&self, index: usize) -> Node {
        let members = (1..=3).map(|id| Member::new(NodeId(id), id.to_string())).collect();
        let id = NodeId(index as u64 + 1);
        let config = NodeConfig {
            members,
            ..NodeConfig::with_shared_store(id, self.stores[index].clone() as Arc<dyn Storage>)
        };
        let identity = Arc::new(Identity::node(id, None));
        Node::start(config, self.network.join(id), identity, Arc::new(AddressBook::new())).await.unwrap()
    }

    async fn change(&self, change: BucketChange) {
        self.nodes[0].change_bucket(change).await.unwrap();
    }

    /// Entries beside the store's metadata.
    fn stored(&self, index: usize) -> usize {
        let mut page = Page::new(10_000, 1 << 30);
        self.stores[index].scan(ScanRange::new(&[0, 0, 0, 1], b""), &mut page).unwrap();
        page.entries().len()
    }

    async fn comes_to_store(&self, index: usize, entries: usize) {
        for _ in 0..500 {
            if self.stored(index) == entries {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("node {} stores {} entries and not {entries}", index + 1, self.stored(index));
    }
}

fn create(name: &str) -> BucketChange {
    BucketChange::Create(name.into(), BucketProperties::default())
}

fn key(number: usize) -> Key {
    Key::try_from(format!("key {number}").as_str()).unwrap()
}

#[tokio::test]
async fn a_deleted_bucket_leaves_nothing_also_where_the_node_was_down() {
    let mut cluster = Cluster::start().await;
    for name in ["again", "gone"] {
        cluster.change(create(name)).await;
        for number in 0..1_500 {
            let put = Put::new(name, key(number), "v").with_w(Quorum::All);
            cluster.nodes[0].put(put).await.into_result().unwrap();
        }
    }
    cluster.nodes[0]
        .put(Put::new("default", key(0), "kept").with_w(Quorum::All))
        .await
        .into_result()
        .unwrap();
    assert_eq!(cluster.stored(2), 3_001);
    cluster.nodes[2].shut_down(GRACE).await;
    for change in [BucketChange::Delete("gone".into()), BucketChange::Delete("again".into()), create("again")]
    {
        cluster.change(change).await;
    }
    cluster.comes_to_store(0, 1).await;
    assert_eq!(cluster.stored(2), 3_001);
    cluster.nodes[2] = cluster.node(2).await;
    cluster.comes_to_store(2, 1).await;
    let kept = cluster.nodes[2].get(Get::new("default", key(0))).await.unwrap();
    assert_eq!(kept.values.len(), 1);
}

#[tokio::test]
async fn what_was_left_by_a_node_that_crashed_while_it_removed_a_bucket_goes_at_the_next_start() {
    let mut cluster = Cluster::start().await;
    cluster.nodes[0].shut_down(GRACE).await;
    let mut batch = Batch::new();
    batch.put(&[0, 0, 1, 0, 5, 5], &[b"left"]);
    cluster.stores[0].write(&batch, Durability::Synced).unwrap();
    assert_eq!(cluster.stored(0), 1);
    cluster.nodes[0] = cluster.node(0).await;
    cluster.comes_to_store(0, 0).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_changes_no_bucket() {
    let mut cluster = Cluster::start().await;
    for index in [1, 2] {
        cluster.nodes[index].shut_down(GRACE).await;
    }
    let error = cluster.nodes[0].change_bucket(create("photos")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("1 of 3 members can be reached"), "{error}");
    assert!(error.message().contains("nothing was changed"), "{error}");
    for index in [1, 2] {
        cluster.nodes[index] = cluster.node(index).await;
    }
    cluster.change(create("photos")).await;
}

#[tokio::test]
async fn a_change_is_made_to_the_newest_table() {
    let mut cluster = Cluster::start().await;
    cluster.nodes[2].shut_down(GRACE).await;
    cluster.change(create("photos")).await;
    cluster.nodes[0].put(Put::new("photos", key(0), "v")).await.into_result().unwrap();
    // Node 3 has not heard of the bucket, or only now.
    cluster.nodes[2] = cluster.node(2).await;
    let error = cluster.nodes[2].change_bucket(create("photos")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidBucket, "{error}");
    let got = cluster.nodes[2].get(Get::new("photos", key(0))).await.unwrap();
    assert_eq!(got.values.len(), 1);
}
