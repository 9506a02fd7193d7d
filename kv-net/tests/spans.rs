//! Spans that follow one operation across nodes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_core::command::{Get, GetMany, Put, ReadOptions, Replace};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::MemoryStorage;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// The fields of a span or event, as text.
#[derive(Debug, Clone, Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// Keeps the spans that were told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<(Vec<Fields>, Vec<Fields>)>>);

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kv_net")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        fields.0.insert("span".into(), attributes.metadata().name().into());
        let begun = &mut self.0.lock().unwrap().0;
        begun.push(fields);
        Id::from_u64(begun.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(parent) = event.parent() else { return };
        let (begun, ended) = &mut *self.0.lock().unwrap();
        let mut fields = begun[parent.into_u64() as usize - 1].clone();
        event.record(&mut fields);
        ended.push(fields);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Told {
    /// Takes what was told once there are `count` spans; those of calls that nobody waits for come later.
    async fn take(&self, count: usize) -> Vec<Fields> {
        let enough = async {
            while self.0.lock().unwrap().1.len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), enough).await;
        let ended = std::mem::take(&mut self.0.lock().unwrap().1);
        assert!(found.is_ok(), "{count} spans were to be told: {ended:?}");
        ended
    }
}

/// Three nodes, of which the first follows that share of what it is asked.
async fn cluster(trace_sample: f64) -> (Vec<Node>, Told, DefaultGuard) {
    let told = Told::default();
    let guard = tracing::subscriber::set_default(told.clone());
    let network = LocalNetwork::new();
    let members: Vec<Member> = (1..=3).map(|id| Member::new(NodeId(id), id.to_string())).collect();
    let mut nodes = Vec::new();
    for member in &members {
        let own = NodeConfig::new(member.id, MemoryStorage::new());
        let trace_sample = if member.id == NodeId(1) { trace_sample } else { 0.0 };
        let config = NodeConfig { members: members.clone(), trace_sample, ..own };
        let identity = Arc::new(Identity::node(member.id, None));
        let transport = network.join(member.id);
        nodes.push(Node::start(config, transport, identity, Arc::new(AddressBook::new())).await.unwrap());
    }
    nodes[0].init().await.unwrap();
    (nodes, told, guard)
}

fn put(key: &str) -> Put {
    let put = Put::new("default", Key::try_from(key).unwrap(), "v").with_w(kv_core::bucket::Quorum::All);
    Put { replace: Replace::Nothing, ..put }
}

#[tokio::test]
async fn one_put_has_one_trace_on_all_nodes() {
    let (nodes, told, _guard) = cluster(1.0).await;
    nodes[0].put(put("k")).await.into_result().unwrap();
    let spans = told.take(5).await;
    let named = |name: &str| spans.iter().filter(|span| span.get("span") == name).collect::<Vec<_>>();
    let [operation] = named("operation")[..] else { panic!("{spans:?}") };
    assert_eq!(
        ["node", "kind", "bucket", "operation", "outcome"].map(|name| operation.get(name)),
        ["1", "put", "default", "1", "applied"]
    );
    let trace = operation.get("trace");
    assert!(trace.len() == 16 && trace != "0000000000000000", "{trace}");
    assert!(spans.iter().all(|span| span.get("trace") == trace), "{spans:?}");

    let ends = |name: &str, end: &str| -> Vec<u64> {
        let mut ends: Vec<u64> = named(name).iter().map(|span| span.get(end).parse().unwrap()).collect();
        ends.sort_unstable();
        ends
    };
    assert_eq!((ends("call", "node"), ends("call", "peer")), (vec![1, 1], vec![2, 3]));
    assert_eq!((ends("serve", "node"), ends("serve", "peer")), (vec![2, 3], vec![1, 1]));
    for span in [named("call"), named("serve")].concat() {
        assert_eq!(["kind", "keys", "outcome"].map(|name| span.get(name)), ["write", "1", "answered"]);
    }
    let took = |span: &Fields| span.get("duration_us").parse::<u64>().unwrap();
    assert!(named("call").iter().all(|call| took(call) <= took(operation)), "{spans:?}");
}

#[tokio::test]
async fn a_put_that_is_handed_over_keeps_its_trace() {
    let (nodes, told, _guard) = cluster(1.0).await;
    // With two replicas of three nodes, some keys are not the first node's.
    let properties =
        kv_core::bucket::BucketProperties { n: 2, ..kv_core::bucket::BucketProperties::default() };
    let change = kv_core::wire::BucketChange::Create("two".into(), properties);
    nodes[0].change_bucket(change).await.unwrap();
    for number in 0.. {
        let put = Put { bucket: "two".into(), ..put(&format!("key{number}")) };
        nodes[0].put(put).await.into_result().unwrap();
        let mut spans = told.take(3).await;
        if spans.iter().all(|span| span.get("kind") != "forward") {
            continue;
        }
        if spans.len() < 5 {
            spans.extend(told.take(5 - spans.len()).await);
        }
        let what: Vec<[&str; 2]> = spans.iter().map(|span| [span.get("span"), span.get("kind")]).collect();
        for expected in [
            ["operation", "put"],
            ["call", "forward"],
            ["serve", "forward"],
            ["call", "write"],
            ["serve", "write"],
        ] {
            assert_eq!(what.iter().filter(|found| **found == expected).count(), 1, "{expected:?}: {spans:?}");
        }
        assert!(spans.iter().all(|span| span.get("trace") == spans[0].get("trace")), "{spans:?}");
        return;
    }
}

#[tokio::test]
async fn operations_have_traces_of_their_own() {
    let (nodes, told, _guard) = cluster(1.0).await;
    let key = || Key::try_from("k").unwrap();
    nodes[0].get(Get::new("default", key())).await.unwrap();
    let many =
        GetMany { bucket: "default".into(), keys: vec![key(), key()], options: ReadOptions::default() };
    nodes[0].get_many(many).await.unwrap();
    assert!(nodes[0].get(Get::new("nowhere", key())).await.is_err());
    let spans = told.take(7).await;
    let operations: Vec<&Fields> = spans.iter().filter(|span| span.get("span") == "operation").collect();
    let kinds: Vec<_> = operations.iter().map(|span| [span.get("kind"), span.get("outcome")]).collect();
    assert_eq!(kinds, [["get", "answered"], ["get_many", "answered"], ["get", "UnknownBucket"]]);
    let traces: std::collections::BTreeSet<&str> = spans.iter().map(|span| span.get("trace")).collect();
    assert_eq!(traces.len(), 3);
}

#[tokio::test]
async fn nothing_is_followed_unless_it_is_asked_for() {
    let (nodes, told, _guard) = cluster(0.0).await;
    nodes[0].put(put("k")).await.into_result().unwrap();
    nodes[1].get(Get::new("default", Key::try_from("k").unwrap())).await.unwrap();
    assert!(told.0.lock().unwrap().0.is_empty());
}

#[tokio::test]
async fn a_share_follows_about_so_many() {
    let (nodes, told, _guard) = cluster(0.25).await;
    for _ in 0..400 {
        nodes[0].get(Get::new("nowhere", Key::try_from("k").unwrap())).await.unwrap_err();
    }
    let followed = told.take(1).await.len();
    assert!((40..=180).contains(&followed), "{followed} of 400, where about 100 were to be expected");
}
