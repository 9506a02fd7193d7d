//! Nodes whose calls to each other are delayed or fail, as a rule of each test says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::bucket::{BucketProperties, Quorum};
use kv_core::command::{Get, Put, PutResult, Replace};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::limits::Limits;
use kv_core::storage::{Batch, Durability, MemoryStorage, Page, ScanRange, Storage};
use kv_core::transport::{CallError, FrameHandler, Transport};
use kv_core::wire::{BucketChange, RequestBody, decode_request};
use kv_net::transport::{AddressBook, Identity, LocalNetwork, LocalTransport};
use kv_net::{Node, NodeConfig};
use parking_lot::Mutex;

/// What becomes of a call.
enum Fate {
    Passes,
    Waits(Duration),
    Fails(CallError),
}

type Rule = dyn Fn(NodeId, &RequestBody) -> Fate + Send + Sync;

/// A node's transport under a rule.
struct Meddler {
    inner: Arc<LocalTransport>,
    rule: Mutex<Option<Arc<Rule>>>,
}

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meddler").finish_non_exhaustive()
    }
}

impl Meddler {
    fn set(&self, rule: impl Fn(NodeId, &RequestBody) -> Fate + Send + Sync + 'static) {
        *self.rule.lock() = Some(Arc::new(rule));
    }

    fn clear(&self) {
        *self.rule.lock() = None;
    }
}

#[async_trait]
impl Transport for Meddler {
    async fn start(&self, handler: Arc<dyn FrameHandler>) -> Result<(), Error> {
        self.inner.start(handler).await
    }

    async fn call(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let rule = self.rule.lock().clone();
        let fate = rule.map_or(Fate::Passes, |rule| rule(peer, &decode_request(&frame).unwrap().body));
        match fate {
            Fate::Passes => self.inner.call(peer, frame, deadline).await,
            Fate::Fails(error) => Err(error),
            Fate::Waits(time) => {
                tokio::time::sleep(time.min(deadline)).await;
                if time >= deadline {
                    return Err(CallError::NotSent(ErrorKind::DeadlineExceeded, "it takes too long".into()));
                }
                self.inner.call(peer, frame, deadline - time).await
            }
        }
    }

    async fn shut_down(&self, grace: Duration) {
        self.inner.shut_down(grace).await;
    }
}

struct Cluster {
    nodes: Vec<Arc<Node>>,
    transports: Vec<Arc<Meddler>>,
    stores: Vec<Arc<MemoryStorage>>,
}

impl Cluster {
    /// Nodes 1 to `count`, at the places 0 to `count - 1`.
    async fn of(count: u64, adjust: impl Fn(&mut NodeConfig)) -> Cluster {
        let cluster = Cluster::apart(count, adjust).await;
        cluster.nodes[0].init().await.unwrap();
        cluster
    }

    /// The same before they are a cluster.
    async fn apart(count: u64, adjust: impl Fn(&mut NodeConfig)) -> Cluster {
        let network = LocalNetwork::new();
        let members: Vec<Member> = (1..=count).map(|id| Member::new(NodeId(id), id.to_string())).collect();
        let mut cluster = Cluster { nodes: Vec::new(), transports: Vec::new(), stores: Vec::new() };
        for member in &members {
            let store = Arc::new(MemoryStorage::new());
            let shared = store.clone() as Arc<dyn Storage>;
            let mut config =
                NodeConfig { members: members.clone(), ..NodeConfig::with_shared_store(member.id, shared) };
            adjust(&mut config);
            let transport = Arc::new(Meddler { inner: network.join(member.id), rule: Mutex::new(None) });
            let identity = Arc::new(Identity::node(member.id, None));
            let node = Node::start(config, transport.clone(), identity, Arc::new(AddressBook::new())).await;
            cluster.nodes.push(Arc::new(node.unwrap()));
            cluster.transports.push(transport);
            cluster.stores.push(store);
        }
        cluster
    }

    async fn create(&self, name: &str, properties: BucketProperties) {
        self.nodes[0].change_bucket(BucketChange::Create(name.into(), properties)).await.unwrap();
    }

    /// The places of the owners of a key, in the order of preference.
    async fn owners(&self, key: &Key) -> Vec<usize> {
        let mut get = Get::new("default", key.clone());
        get.options.explain = true;
        let answer = self.nodes[0].get(get).await.unwrap();
        answer.explain.unwrap().replicas.iter().map(|replica| replica.node.0 as usize - 1).collect()
    }

    /// Flips a bit of what a node has stored under `key`.
    fn damage(&self, place: usize, key: &Key) {
        let mut page = Page::new(10_000, 1 << 30);
        self.stores[place].scan(ScanRange::new(&[0, 0, 0, 1], b""), &mut page).unwrap();
        let mut batch = Batch::new();
        for (stored, value) in page.entries().filter(|(stored, _)| stored.ends_with(key.as_bytes())) {
            let mut value = value.to_vec();
            *value.last_mut().unwrap() ^= 1;
            batch.put(stored, &[&value]);
        }
        assert_eq!(batch.changes().count(), 1);
        self.stores[place].write(&batch, Durability::Synced).unwrap();
    }
}

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

fn blind(bucket: &str, key: &Key, value: &'static str) -> Put {
    Put { replace: Replace::Nothing, ..Put::new(bucket, key.clone(), value) }
}

fn cut() -> Fate {
    Fate::Fails(CallError::NoAnswer(ErrorKind::ConnectionLost, "cut".into()))
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} within 5 s");
}

#[tokio::test]
async fn a_damage_is_not_healed_by_others_to_whom_an_acknowledged_put_is_under_way() {
    let cluster = Cluster::of(3, |_| {}).await;
    cluster.create("strict", BucketProperties { w_min: 2, ..BucketProperties::default() }).await;
    let key = key("k");
    cluster.nodes[0].put(blind("strict", &key, "before").with_w(Quorum::All)).await.into_result().unwrap();
    cluster.transports[0].set(|peer, body| match body {
        RequestBody::Write(_) if peer == NodeId(2) => Fate::Waits(Duration::from_millis(400)),
        RequestBody::Write(_) => cut(),
        _ => Fate::Passes,
    });
    let put = tokio::spawn({
        let (node, put) = (cluster.nodes[0].clone(), Put::new("strict", key.clone(), "after"));
        async move { node.put(put).await }
    });
    // Node 1 has committed it, and then loses it.
    let one = Get::new("strict", key.clone()).with_r(Quorum::One);
    until("node 1 has the put", async || {
        cluster.nodes[0].get(one.clone()).await.is_ok_and(|got| got.values[0].value == "after")
    })
    .await;
    cluster.damage(0, &key);
    assert!(cluster.nodes[2].get(Get::new("strict", key.clone()).with_r(Quorum::All)).await.is_err());
    assert!(matches!(put.await.unwrap(), PutResult::Applied(_)));
    // Without node 2 nobody who has it can be asked: then there is no answer rather than an old one.
    cluster.transports[0].clear();
    cluster.nodes[1].shut_down(Duration::from_millis(100)).await;
    match cluster.nodes[2].get(Get::new("strict", key)).await {
        Ok(got) => assert_eq!(got.values[0].value, "after"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
    }
}

#[tokio::test]
async fn what_comes_after_the_answer_is_in_the_repair() {
    let cluster = Cluster::of(3, |_| {}).await;
    let key = key("k");
    let owners = cluster.owners(&key).await;
    let (first, second, last) = (owners[0], owners[1], owners[2]);
    cluster.transports[last].set(|_, body| match body {
        RequestBody::Write(_) => cut(),
        _ => Fate::Passes,
    });
    let put = blind("default", &key, "v").with_w(Quorum::One);
    cluster.nodes[last].put(put).await.into_result().unwrap();
    let second = NodeId(second as u64 + 1);
    cluster.transports[first].set(move |peer, body| match body {
        RequestBody::Read(_) if peer == second => Fate::Waits(Duration::from_millis(60)),
        RequestBody::Read(_) => Fate::Waits(Duration::from_millis(150)),
        _ => Fate::Passes,
    });
    // Two that have nothing answer first, and then the one that has it, because a slow one was hedged.
    assert!(cluster.nodes[first].get(Get::new("default", key.clone())).await.unwrap().values.is_empty());
    let one = Get::new("default", key).with_r(Quorum::One);
    until("the first owner is repaired with the value", async || {
        cluster.nodes[first].get(one.clone()).await.unwrap().values.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_put_goes_to_the_next_owner_where_another_node_answers_for_the_first() {
    let cluster = Cluster::of(5, |_| {}).await;
    for number in 0..40 {
        let key = key(&format!("key {number}"));
        let owners = cluster.owners(&key).await;
        let Some(stranger) = (0..5).find(|place| !owners.contains(place)) else { continue };
        let first = NodeId(owners[0] as u64 + 1);
        cluster.transports[stranger].set(move |peer, _| {
            let error = CallError::NotSent(ErrorKind::WrongIdentity, "another node is there".into());
            if peer == first { Fate::Fails(error) } else { Fate::Passes }
        });
        cluster.nodes[stranger].put(blind("default", &key, "v")).await.into_result().unwrap();
        return;
    }
    panic!("every node owns every key");
}

#[tokio::test]
async fn a_resolver_that_panics_fails_its_own_operations_only_and_leaves_none_behind() {
    let limits = Limits { deadline_ms_default: 1_000, deadline_ms_max: 1_000, ..Limits::default() };
    let cluster = Cluster::of(3, |config| {
        config.plugins = config.plugins.clone().with_combine("panics", |_| panic!("as the test wants it"));
        config.limits = limits.clone();
    })
    .await;
    cluster.create("b", BucketProperties { resolver: "panics".into(), ..BucketProperties::default() }).await;
    let (key, node) = (key("k"), cluster.nodes[0].clone());
    for value in ["1", "2"] {
        node.put(blind("b", &key, value)).await.into_result().unwrap();
    }
    for _ in 0..3 {
        let (node, get) = (node.clone(), Get::new("b", key.clone()));
        let ended =
            tokio::time::timeout(Duration::from_secs(4), tokio::spawn(async move { node.get(get).await }));
        // A panic that goes through to the caller ends it as well.
        assert!(!matches!(ended.await.expect("the get ends"), Ok(Ok(_))));
    }
    // One whose deadline passes, so that the merging is for the repair alone.
    cluster.transports[0].set(|peer, body| match body {
        RequestBody::Read(_) if peer == NodeId(3) => Fate::Waits(Duration::from_secs(60)),
        _ => Fate::Passes,
    });
    let mut get = Get::new("b", key.clone()).with_r(Quorum::All);
    get.options.timeout_ms = Some(100);
    assert!(node.get(get).await.is_err());
    // Timers still run, and nothing waits for ever.
    let mut get = Get::new("default", key).with_r(Quorum::All);
    get.options.timeout_ms = Some(100);
    assert!(node.get(get).await.is_err());
    cluster.transports[0].clear();
    let get = Get::new("default", crate::key("another"));
    assert!(node.get(get).await.is_ok(), "other buckets are served");
    until("no operation is left", async || node.status().operations == 0).await;
}

#[tokio::test]
async fn two_that_make_the_cluster_at_once_make_one() {
    let cluster = Cluster::apart(2, |_| {}).await;
    for transport in &cluster.transports {
        transport.set(|_, body| match body {
            RequestBody::Join(..) => Fate::Waits(Duration::from_millis(20)),
            _ => Fate::Passes,
        });
    }
    let _ = tokio::join!(cluster.nodes[0].init(), cluster.nodes[1].init());
    for node in &cluster.nodes {
        let _ = node.init().await;
    }
    let clusters = [0, 1].map(|place| cluster.nodes[place].status().cluster);
    assert!(clusters[0].is_some());
    assert_eq!(clusters[0], clusters[1]);
}
