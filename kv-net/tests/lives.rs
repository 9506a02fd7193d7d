//! A node's store through restarts and failed commits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv_core::bucket::BucketProperties;
use kv_core::command::{Get, Put, PutResult, Replace};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::{
    Batch, CommitError, Durability, MemoryStorage, Page, ScanRange, Storage, StorageCapabilities,
    StorageError, StorageStats,
};
use kv_core::wire::BucketChange;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};
use parking_lot::Mutex;

/// A store in memory, which at some time no longer knows what it has stored.
#[derive(Debug, Default)]
struct Failing {
    inner: MemoryStorage,
    fails: AtomicBool,
    /// What the next writes come to, the last first: whether it is known that nothing was written.
    next: Mutex<Vec<bool>>,
}

impl Storage for Failing {
    fn capabilities(&self) -> StorageCapabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.inner.get(key, value)
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        self.inner.get_many(keys, visit)
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        self.inner.scan(range, page)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let next = self.next.lock().pop();
        match next {
            Some(true) => Err(CommitError::NotWritten(StorageError::new("write", "the device is full"))),
            None if !self.fails.load(Ordering::Relaxed) => self.inner.write(batch, durability),
            _ => Err(CommitError::Unknown(StorageError::new("write", "the device failed"))),
        }
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.inner.sync()
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        self.inner.stats()
    }
}

async fn start(store: &Arc<Failing>) -> Node {
    let members = vec![Member::new(NodeId(1), "1")];
    let config = NodeConfig { members, ..NodeConfig::with_shared_store(NodeId(1), store.clone()) };
    let transport = LocalNetwork::new().join(NodeId(1));
    let identity = Arc::new(Identity::node(NodeId(1), None));
    Node::start(config, transport, identity, Arc::new(AddressBook::new())).await.unwrap()
}

async fn first() -> (Arc<Failing>, Node) {
    let store = Arc::new(Failing::default());
    let node = start(&store).await;
    node.init().await.unwrap();
    (store, node)
}

fn blind(value: &'static str) -> Put {
    Put { replace: Replace::Nothing, ..Put::new("default", key(), value) }
}

fn key() -> Key {
    Key::try_from("k").unwrap()
}

#[tokio::test]
async fn each_start_is_another_life_and_uses_no_dot_again() {
    let (store, mut node) = first().await;
    let mut dots = Vec::new();
    for _ in 0..3 {
        dots.push(node.put(blind("v")).await.into_result().unwrap().dot.unwrap());
        node.shut_down(Duration::from_secs(1)).await;
        node = start(&store).await;
    }
    let mut lives: Vec<_> = dots.iter().map(|dot| dot.actor.incarnation).collect();
    lives.sort();
    lives.dedup();
    assert_eq!(lives.len(), 3, "{dots:?}");
    assert_eq!(node.get(Get::new("default", key())).await.unwrap().values.len(), 3);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_stops_the_node_reads_included() {
    let (store, node) = first().await;
    node.put(blind("v")).await.into_result().unwrap();
    store.fails.store(true, Ordering::Relaxed);
    let result = node.put(blind("w")).await;
    assert!(matches!(result, PutResult::Indeterminate(_)), "{result:?}");
    let stopped = tokio::time::timeout(Duration::from_secs(10), node.stopped()).await.expect("it stops");
    assert_eq!(stopped.kind(), ErrorKind::CommitUnknown);
    store.fails.store(false, Ordering::Relaxed);
    let error = node.get(Get::new("default", key())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommitUnknown, "what it says of its store cannot be trusted");
    assert!(matches!(node.put(blind("x")).await, PutResult::NotApplied(_)));
    assert!(node.is_ready().is_err());
    node.shut_down(Duration::from_secs(1)).await;
    let again = start(&store).await;
    assert_eq!(again.get(Get::new("default", key())).await.unwrap().values.len(), 1);
}

#[tokio::test]
async fn an_incarnation_of_which_nobody_knows_whether_it_is_stored_stops_the_node() {
    let (store, node) = first().await;
    *store.next.lock() = vec![false, true];
    // The first is not written, so a new incarnation is needed; that commit is of unknown outcome.
    for _ in 0..2 {
        assert!(!matches!(node.put(blind("v")).await, PutResult::Applied(_)));
    }
    let stopped = tokio::time::timeout(Duration::from_secs(10), node.stopped()).await.expect("it stops");
    assert_eq!(stopped.kind(), ErrorKind::CommitUnknown);
    assert!(matches!(node.put(blind("w")).await, PutResult::NotApplied(_)));
}

#[tokio::test]
async fn a_bucket_that_cannot_be_stored_is_not_there_before_and_after_a_restart() {
    let (store, node) = first().await;
    let create = || BucketChange::Create("photos".into(), BucketProperties::default());
    *store.next.lock() = vec![true];
    assert_eq!(node.change_bucket(create()).await.unwrap_err().kind(), ErrorKind::NotWritten);
    let put = || Put::new("photos", key(), "v");
    let error = node.put(put()).await.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownBucket);
    node.shut_down(Duration::from_secs(1)).await;
    let node = start(&store).await;
    assert_eq!(node.put(put()).await.into_result().unwrap_err().kind(), ErrorKind::UnknownBucket);
    node.change_bucket(create()).await.unwrap();
    node.put(put()).await.into_result().unwrap();
    node.shut_down(Duration::from_secs(1)).await;
    let got = start(&store).await.get(Get::new("photos", key())).await.unwrap();
    assert_eq!(got.values.len(), 1);
}

#[tokio::test]
async fn a_node_that_is_dropped_lets_go_of_its_store() {
    let (store, node) = first().await;
    node.put(blind("v")).await.into_result().unwrap();
    drop(node);
    for _ in 0..500 {
        if Arc::strong_count(&store) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} others hold the store", Arc::strong_count(&store) - 1);
}
