//! A node by itself.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Node, free_address, run, server, until};

#[test]
fn a_node_alone_becomes_a_cluster_when_it_is_told_to() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let node = Node::start(&data, &[]);
    let ready = node.http("/ready");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("run kv cluster init"), "{ready}");
    let put = node.kv(&["put", "k", "v", "--timeout", "1s"]).with_code(5);
    assert!(put.err.contains("belongs to no cluster yet: run kv cluster init"), "{put:?}");
    let status = node.kv(&["status"]).with_code(5);
    assert!(status.out.contains("no cluster yet"), "{status:?}");

    let init = node.kv(&["cluster", "init"]).with_code(0);
    assert!(
        init.out.contains("1 member,") && init.out.contains("degraded: 3 replicas were asked for"),
        "{init:?}"
    );
    assert!(node.http("/ready").starts_with("HTTP/1.1 200"));
    node.kv(&["put", "k", "v"]).with_code(0);
    node.kv(&["cluster", "init"]).with_code(0);
    assert_eq!(node.kv(&["get", "k"]).with_code(0).out, "v");

    let status = node.http("/status");
    let body: serde_json::Value = serde_json::from_str(status.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["ready"], &body["node"]["node"]), (&true.into(), &1.into()));
    node.stop().with_code(0);
}

#[test]
fn clients_of_redis_and_kv_see_each_others_values() {
    let parent = tempfile::tempdir().unwrap();
    let node = Node::start(&parent.path().join("data"), &[]);
    let mut client = std::net::TcpStream::connect(&node.resp).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut ask = |command: &str| {
        client.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut reply = [0; 512];
        let length = client.read(&mut reply).unwrap();
        String::from_utf8_lossy(&reply[..length]).trim_end().to_string()
    };
    assert!(ask("GET k").starts_with("-CLUSTERDOWN"));
    node.kv(&["cluster", "init"]).with_code(0);
    assert_eq!(ask("SET k from-redis"), "+OK");
    assert_eq!(node.kv(&["get", "k", "-b", "redis"]).with_code(0).out, "from-redis");
    node.kv(&["put", "k", "from-kv", "-b", "redis"]).with_code(0);
    assert_eq!(ask("GET k"), "$7\r\nfrom-kv");
    node.stop().with_code(0);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the connection is closed");
}

#[test]
fn a_node_ends_within_its_bound_although_clients_are_connected() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let node = Node::start(&data, &["--set", "drain=1s"]);
    node.kv(&["cluster", "init"]).with_code(0);
    let _peers = std::net::TcpStream::connect(&node.listen).unwrap();
    let _admin = std::net::TcpStream::connect(&node.admin).unwrap();
    let begun = Instant::now();
    node.stop().with_code(0);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(log.contains("shutting down") && !log.contains("panicked"), "{log}");
}

#[test]
fn several_threads_serve_as_one_does() {
    let parent = tempfile::tempdir().unwrap();
    let node = Node::start(&parent.path().join("data"), &["--threads", "2", "--engine", "memory"]);
    node.kv(&["cluster", "init"]).with_code(0);
    node.kv(&["bench", "--duration", "300ms", "--warm-up", "0s", "--clients", "8", "--threads", "2"])
        .with_code(0);
    node.stop().with_code(0);
}

#[test]
fn logs_are_json_where_that_is_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    Node::start(&data, &["--log-format", "json"]).stop().with_code(0);
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let up = lines.iter().find(|line| line["message"] == "the node is up").unwrap();
    assert_eq!((&up["node"], &up["level"]), (&"1".into(), &"INFO".into()));
}

#[test]
fn operations_that_are_followed_are_logged_a_line_for_each_span() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let node = Node::start(&data, &["--log-format", "json", "--set", "log.trace_sample=1"]);
    node.kv(&["cluster", "init"]).with_code(0);
    node.kv(&["put", "k", "v"]).with_code(0);
    node.stop().with_code(0);
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let spans: Vec<_> = lines.filter(|line| line["target"] == "kv_net::spans").collect();
    let [line] = &spans[..] else { panic!("{log}") };
    assert_eq!((&line["message"], &line["outcome"]), (&"span".into(), &"applied".into()));
    let span = &line["span"];
    assert_eq!(
        (&span["name"], &span["kind"], &span["node"]),
        (&"operation".into(), &"put".into(), &1.into())
    );
    assert!(span["trace"].as_str().unwrap().len() == 16 && line["duration_us"].as_u64().is_some(), "{line}");
}

#[test]
fn the_configuration_can_be_checked_and_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kv.toml");
    std::fs::write(&file, "threads = 2\n").unwrap();
    let with_file = |arguments: &[&str]| run(server().arg("--config").arg(&file).args(arguments));
    assert_eq!(with_file(&["--check"]).with_code(0).out, "ok\n");
    let printed = with_file(&["--print-config", "--node", "4"]).with_code(0).out;
    assert!(
        printed.contains("kv.toml:1)\nthreads = 2\n") && printed.contains("(--node)\nnode = 4\n"),
        "{printed}"
    );
    std::fs::write(&file, &printed).unwrap();
    assert_eq!(with_file(&["--check"]).with_code(0).out, "ok\n");

    std::fs::write(&file, "thread = 2\n[log]\nformat = \"xml\"\n").unwrap();
    let bad = with_file(&["--check"]).with_code(2);
    assert!(bad.err.contains("kv.toml:1: unknown key 'thread': did you mean 'threads'?"), "{bad:?}");
    assert!(bad.err.contains("kv.toml:3: log.format: 'xml' is not one of text, json"), "{bad:?}");
}

/// Names for members that have to be known before they start: `ID=ADDRESS`.
pub(crate) fn three_members() -> Vec<String> {
    (1..=3).map(|id| format!("{id}={}", free_address())).collect()
}

/// Starts one of these members, over `data-ID` in `parent`.
pub(crate) fn start_member(parent: &Path, members: &[String], id: usize) -> Node {
    let address = members[id - 1].split_once('=').unwrap().1;
    let node = id.to_string();
    let mut arguments = vec!["--node", &node, "--listen", address];
    arguments.extend(members.iter().flat_map(|member| ["--member", member.as_str()]));
    Node::start(&parent.join(format!("data-{id}")), &arguments)
}

#[test]
fn a_node_that_lost_its_data_gets_what_the_others_have_before_it_counts() {
    let parent = tempfile::tempdir().unwrap();
    let members = three_members();
    let mut nodes: Vec<Node> = (1..=3).map(|id| start_member(parent.path(), &members, id)).collect();
    nodes[0].kv(&["cluster", "init"]).with_code(0);
    for number in 0..30 {
        nodes[0].kv(&["put", &format!("key {number}"), "v", "--w", "all"]).with_code(0);
    }
    nodes.pop().unwrap().stop().with_code(0);
    std::fs::remove_dir_all(parent.path().join("data-3")).unwrap();
    nodes.push(start_member(parent.path(), &members, 3));
    let refused = nodes[0].kv(&["cluster", "init"]).with_code(2);
    assert!(refused.err.contains("node 3") && refused.err.contains("--replace"), "{refused:?}");
    nodes[1].kv(&["cluster", "init", "--replace"]).with_code(0);
    let lacking = || nodes[0].kv(&["status", "--json"]).json()["members"][2]["status"]["epochs"].clone();
    until("all to be there again", || lacking()["recovering"] == 0 && lacking()["partitions"] != 0);
    for number in 0..30 {
        let get = ["get", &format!("key {number}"), "--r", "all"];
        assert_eq!(nodes[2].kv(&get).with_code(0).out, "v");
    }
    let verified = nodes[0].kv(&["verify", "--json"]).with_code(0).json();
    assert_eq!(verified["members"][2]["records"], 30, "{verified}");
    // It keeps its place: nothing is lacking after the next start either.
    nodes.pop().unwrap().stop().with_code(0);
    nodes.push(start_member(parent.path(), &members, 3));
    assert_eq!(nodes[2].kv(&["get", "key 7", "--r", "all"]).with_code(0).out, "v");
}

#[test]
fn three_nodes_of_static_members_make_a_cluster() {
    let parent = tempfile::tempdir().unwrap();
    let members = three_members();
    let nodes: Vec<Node> = (1..=3).map(|id| start_member(parent.path(), &members, id)).collect();
    nodes[1].kv(&["cluster", "init"]).with_code(0);
    nodes[0].kv(&["put", "k", "v", "--w", "all"]).with_code(0);
    until("all ready", || nodes.iter().all(|node| node.http("/ready").starts_with("HTTP/1.1 200")));
    assert_eq!(nodes[2].kv(&["get", "k", "--r", "all"]).with_code(0).out, "v");
}

#[test]
fn who_never_finishes_a_request_to_the_admin_port_holds_nothing_up() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let node = Node::start(&data, &[]);
    let slow = || {
        let mut stream = std::net::TcpStream::connect(&node.admin).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    // More than are served at a time: the others are served once the first have run out of time.
    let mut streams: Vec<_> = (0..200).map(|_| slow()).collect();
    let begun = Instant::now();
    until("an answer", || node.http("/health").starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_secs(15));
    let mut said = Vec::new();
    streams[0].read_to_end(&mut said).unwrap();

    let _another = slow();
    let begun = Instant::now();
    let stopped = node.stop().with_code(0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}: {stopped:?}", begun.elapsed());
    let log = std::fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(!log.contains("cut off"), "{log}");
}
