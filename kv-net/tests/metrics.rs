//! The metrics of nodes, and the page that lists them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use kv_core::bucket::Quorum;
use kv_core::command::{Get, GetMany, Put, ReadOptions, Replace};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::MemoryStorage;
use kv_net::metrics::{Figures, RespFigures, exposition};
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};

async fn cluster(count: u64) -> Vec<Node> {
    let network = LocalNetwork::new();
    let members: Vec<Member> = (1..=count).map(|id| Member::new(NodeId(id), id.to_string())).collect();
    let mut nodes = Vec::new();
    for member in &members {
        let config =
            NodeConfig { members: members.clone(), ..NodeConfig::new(member.id, MemoryStorage::new()) };
        let identity = Arc::new(Identity::node(member.id, None));
        let transport = network.join(member.id);
        nodes.push(Node::start(config, transport, identity, Arc::new(AddressBook::new())).await.unwrap());
    }
    nodes[0].init().await.unwrap();
    nodes
}

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

/// The value of a series of a node.
fn told(node: &Node, series: &str) -> f64 {
    let text = exposition(&Figures { node: &node.figures(), resp: None });
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not told:\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn every_way_in_which_an_operation_ends_is_told() {
    let nodes = cluster(3).await;
    let node = &nodes[0];
    for (name, value) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4")] {
        let put = Put { replace: Replace::Nothing, ..Put::new("default", key(name), value) };
        node.put(put).await.into_result().unwrap();
    }
    assert_eq!(told(node, r#"kv_puts_total{outcome="applied"}"#), 4.0);
    assert_eq!(told(node, "kv_put_duration_seconds_count"), 4.0);

    let one = Get::new("default", key("a")).with_r(Quorum::One);
    for get in [one.clone(), one.with_r(Quorum::All), Get::new("default", key("nothing"))] {
        node.get(get).await.unwrap();
    }
    let many =
        GetMany { bucket: "default".into(), keys: vec![key("a"), key("b")], options: ReadOptions::default() };
    assert_eq!(node.get_many(many).await.unwrap().len(), 2);
    assert_eq!(told(node, r#"kv_gets_total{outcome="answered"}"#), 5.0);
    // One was answered where it arrived, and is not among those whose time is taken.
    assert_eq!(told(node, "kv_get_duration_seconds_count"), 4.0);
    assert!(told(node, "kv_local_get_sampled_duration_seconds_count") <= 1.0);
    assert_eq!(told(node, r#"kv_get_values_bucket{le="0"}"#), 1.0);
    assert_eq!(told(node, r#"kv_get_values_bucket{le="1"}"#), 2.0);
    assert_eq!(told(node, r#"kv_get_values_bucket{le="3"}"#), 5.0);
    assert_eq!(told(node, "kv_get_values_sum"), 3.0 * 3.0 + 1.0);

    assert!(node.get(Get::new("nowhere", key("a"))).await.is_err());
    assert_eq!(told(node, r#"kv_refused_requests_total{kind="UnknownBucket"}"#), 1.0);
    assert_eq!(told(node, r#"kv_gets_total{outcome="failed"}"#), 0.0);
}

#[tokio::test]
async fn a_quorum_that_is_not_reached_is_told_by_its_kind_and_peer() {
    let mut nodes = cluster(3).await;
    nodes[0].put(Put::new("default", key("k"), "v")).await.into_result().unwrap();
    assert_eq!(told(&nodes[0], r#"kv_peer_up{peer="2"}"#), 1.0);
    let calls = told(&nodes[0], r#"kv_peer_calls_total{peer="2",outcome="answered"}"#);
    assert!(calls >= 1.0 && told(&nodes[0], r#"kv_peer_sent_bytes_total{peer="2"}"#) > calls);
    for gone in nodes.drain(1..) {
        gone.shut_down(std::time::Duration::ZERO).await;
    }
    let error = nodes[0].get(Get::new("default", key("k"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(told(&nodes[0], r#"kv_operation_errors_total{kind="Unavailable"}"#), 1.0);
    assert_eq!(told(&nodes[0], r#"kv_gets_total{outcome="failed"}"#), 1.0);
    assert_eq!(told(&nodes[0], r#"kv_peer_up{peer="2"}"#), 0.0);
    assert!(told(&nodes[0], r#"kv_peer_calls_total{peer="2",outcome="failed"}"#) >= 1.0);
}

#[tokio::test]
async fn what_a_node_does_not_have_leaves_no_trace() {
    let nodes = cluster(1).await;
    let mut figures = nodes[0].figures();
    figures.storage = None;
    let text = exposition(&Figures { node: &figures, resp: None });
    assert!(text.contains("# TYPE kv_gets_total counter\n"));
    assert!(!text.contains("kv_resp") && !text.contains("kv_storage") && !text.contains("kv_peer"), "{text}");
    let resp = RespFigures { commands: vec![("get \"\\\n".into(), 3)], ..RespFigures::default() };
    let text = exposition(&Figures { node: &figures, resp: Some(&resp) });
    assert!(text.contains("kv_resp_commands_total{command=\"get \\\"\\\\\\n\"} 3\n"), "{text}");
}

#[tokio::test]
async fn commits_are_told_with_what_was_stored() {
    let nodes = cluster(1).await;
    let before = told(&nodes[0], "kv_commit_keys_count");
    nodes[0].put(Put::new("default", key("k"), vec![7; 5_000])).await.into_result().unwrap();
    assert_eq!(told(&nodes[0], "kv_commit_keys_count"), before + 1.0);
    assert_eq!(told(&nodes[0], "kv_commit_duration_seconds_count"), before + 1.0);
    assert!(told(&nodes[0], "kv_commit_bytes_total") > 5_000.0);
    assert!(told(&nodes[0], "kv_storage_entries") >= 1.0);
    assert_eq!(told(&nodes[0], "kv_mutations_waiting"), 0.0);
}

/// The table of docs/metrics.md, as the code has it.
fn table() -> String {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in kv_net::metrics::all() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".into() } else { labels.join(", ") };
        let type_name = metric.metric_type.name();
        table += &format!("| `{}` | {type_name} | {labels} | {} |\n", metric.name, metric.help);
    }
    table
}

#[test]
fn the_documented_metrics_are_those_of_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("| metric |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let expected = format!("{before}{}\n{after}", table());
    if std::env::var_os("KV_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(document, expected, "write it with KV_WRITE_DOCS=1");
}

#[test]
fn names_are_as_prometheus_wants_them() {
    use kv_net::metrics::MetricType;
    let mut names: Vec<&str> = kv_net::metrics::all().map(|metric| metric.name).collect();
    for metric in kv_net::metrics::all() {
        let allowed = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        assert!(metric.name.starts_with("kv_") && metric.name.chars().all(allowed), "{}", metric.name);
        let is_counter = metric.metric_type == MetricType::Counter;
        assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\', '|']), "{}", metric.name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), kv_net::metrics::all().count());
}
