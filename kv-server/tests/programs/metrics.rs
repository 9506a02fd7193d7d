//! What a node tells Prometheus.

use std::io::{Read, Write};
use std::time::Duration;

use crate::exposition::Exposition;
use crate::support::{Dev, Node, until};

fn scrape(node: &Node) -> Exposition {
    let answer = node.http("/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let content_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(head.lines().any(|line| line == content_type), "{head}");
    Exposition::read(body)
}

#[test]
fn counts_move_as_operations_are_made() {
    let parent = tempfile::tempdir().unwrap();
    let node = Node::start(&parent.path().join("data"), &[]);
    let first = scrape(&node);
    assert_eq!(first.get("kv_ready"), 0.0, "it belongs to no cluster");
    let release = env!("CARGO_PKG_VERSION");
    assert_eq!(first.get(&format!(r#"kv_build_info{{node="1",release="{release}"}}"#)), 1.0);
    let mut redis = std::net::TcpStream::connect(&node.resp).unwrap();
    redis.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    redis.write_all(b"GET k\r\n").unwrap();
    until("the refusal", || scrape(&node).get(r#"kv_refused_requests_total{kind="Unavailable"}"#) == 1.0);
    node.kv(&["cluster", "init"]).with_code(0);

    for _ in 0..3 {
        node.kv(&["put", "k", "v"]).with_code(0);
    }
    node.kv(&["get", "k", "--r", "one"]).with_code(0);
    redis.write_all(b"SET k v\r\nGET k\r\nget k\r\nINCR k\r\nNOSUCH\r\n*1\r\n:1\r\n").unwrap();
    let mut replies = String::new();
    redis.read_to_string(&mut replies).unwrap();
    assert!(replies.contains("Protocol error"), "{replies}");
    let other = std::net::TcpStream::connect(&node.resp).unwrap();
    until("the second connection", || scrape(&node).get("kv_resp_connections_open") == 1.0);

    let last = scrape(&node);
    assert_eq!(last.get("kv_ready"), 1.0);
    let grown = |series: &str| last.get(series) - first.get(series);
    assert_eq!(grown(r#"kv_puts_total{outcome="applied"}"#), 4.0);
    assert_eq!(grown("kv_put_duration_seconds_count"), 4.0);
    assert!(grown("kv_put_duration_seconds_sum") > 0.0);
    assert_eq!(grown(r#"kv_gets_total{outcome="answered"}"#), 3.0);
    assert_eq!(grown(r#"kv_get_values_bucket{le="1"}"#), 3.0);
    assert!(grown("kv_commit_keys_sum") >= 4.0 && grown("kv_commit_bytes_total") > 0.0);
    assert_eq!(grown("kv_commit_keys_count"), grown("kv_commit_duration_seconds_count"));
    assert!(grown("kv_storage_entries") >= 2.0 && grown("kv_storage_syncs_total") >= 1.0);
    assert!(last.get("kv_storage_used_bytes") > 0.0 && last.get("kv_uptime_seconds") > 0.0);
    assert_eq!(last.get("kv_resp_connections_total"), 2.0);
    assert_eq!(last.get("kv_resp_protocol_errors_total"), 1.0);
    for (command, count) in [("set", 1.0), ("get", 3.0), ("refused", 1.0), ("unknown", 1.0)] {
        assert_eq!(
            last.get(&format!(r#"kv_resp_commands_total{{command="{command}"}}"#)),
            count,
            "{command}"
        );
    }
    drop(other);
    node.stop().with_code(0);
}

#[test]
fn nodes_of_a_cluster_tell_of_their_peers() {
    let dev = Dev::start(&["--nodes", "3"]);
    dev.kv(["put", "k", "v", "--w", "all"]).with_code(0);
    let admins = (1..=3).map(|node| {
        let text = std::fs::read(dev.path().join(format!("kv-data/node-{node}/addresses.json"))).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&text).unwrap();
        found["admin"].as_str().unwrap().to_string()
    });
    let told = admins.map(|admin| {
        let answer = crate::support::http(&admin, "/metrics").unwrap();
        Exposition::read(answer.split_once("\r\n\r\n").unwrap().1)
    });
    let sum_over_nodes = |told: &[Exposition], metric: &str| -> f64 {
        let series = told.iter().flat_map(|node| &node.series);
        series.filter(|(name, _)| name.starts_with(metric)).map(|(_, value)| value).sum()
    };
    let told: Vec<Exposition> = told.collect();
    assert_eq!(sum_over_nodes(&told, "kv_puts_total"), 1.0);
    // Its coordinator called the two others.
    assert!(sum_over_nodes(&told, "kv_peer_up{") >= 2.0);
    assert!(sum_over_nodes(&told, "kv_peer_calls_total{") >= 2.0);
    assert!(sum_over_nodes(&told, "kv_peer_received_bytes_total{") > 0.0);
    dev.stop().0.with_code(0);
}
