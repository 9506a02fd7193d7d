//! Everything that can be wrong from outside has a clear error that says what to do, and no panic.

use std::path::Path;

use crate::support::{Done, Node, run, server};

/// Runs a server that is not expected to start.
fn fails(data: &Path, arguments: &[&str]) -> Done {
    let mut command = server();
    command.arg("--data").arg(data).args(arguments);
    for address in ["--listen", "--admin", "--resp"] {
        if !arguments.contains(&address) {
            command.args([address, "127.0.0.1:0"]);
        }
    }
    run(&mut command).with_code(1)
}

#[test]
fn a_port_in_use() {
    let parent = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin", "--resp"] {
        let done = fails(&parent.path().join("data"), &[flag, &address]);
        assert!(done.err.contains(&format!("cannot listen on {address}")), "{done:?}");
        assert!(done.err.contains(&format!("or choose another port with {flag}")), "{done:?}");
        assert_eq!(done.err.matches("in use").count(), 1, "the cause is said once: {done:?}");
    }
}

#[test]
fn a_bad_key_or_flag() {
    let done = run(server().args(["--set", "lisen=127.0.0.1:1"])).with_code(2);
    assert!(done.err.contains("unknown key 'lisen': did you mean 'listen'?"), "{done:?}");
    let done = run(server().arg("--lisen")).with_code(2);
    assert!(done.err.contains("--listen"), "{done:?}");
    let done = run(server().args(["--listen", "0.0.0.0:7380"])).with_code(2);
    assert!(done.err.contains("is not loopback") && done.err.contains("--insecure"), "{done:?}");
    let done = run(server().args(["--data", "/no/such/place/data", "--check"])).with_code(2);
    assert!(done.err.contains("/no/such/place"), "{done:?}");
    for arguments in [["--nodes", "0"], ["--nodes", "17"], ["--port", "70000"], ["--log", "a=b=c"]] {
        run(server().arg("dev").args(arguments)).with_code(2);
    }
    let done = run(server().env("KV_THREADS", "none")).with_code(2);
    assert!(done.err.contains("environment KV_THREADS: threads: 'none' is not a number"), "{done:?}");
}

#[test]
fn a_volume_that_is_missing() {
    let parent = tempfile::tempdir().unwrap();
    let done = fails(&parent.path().join("volume/data"), &[]);
    assert!(done.err.contains("does not exist. Is the volume mounted?"), "{done:?}");
    let done = fails(&parent.path().join("data"), &["--set", "storage.create=never"]);
    assert!(done.err.contains("is the volume mounted?"), "{done:?}");
}

#[test]
fn a_directory_that_cannot_be_written() {
    // Even root cannot make files here.
    let done = fails(Path::new("/proc/kv-data"), &[]);
    assert!(done.err.contains("cannot make the data directory /proc/kv-data"), "{done:?}");
    let done = fails(Path::new("/proc/self"), &[]);
    assert!(done.err.contains("cannot make") || done.err.contains("cannot write"), "{done:?}");
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let done = fails(&file, &[]);
    assert!(done.err.contains("is not a directory"), "{done:?}");
}

#[test]
fn the_data_of_another_node() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let node = Node::start(&data, &["--node", "7"]);
    node.kv(&["cluster", "init"]).with_code(0);
    let second = fails(&data, &["--node", "7"]);
    assert!(second.err.contains("is open already"), "{second:?}");
    node.stop().with_code(0);
    let other = fails(&data, &["--node", "8"]);
    assert!(
        other.err.contains("belongs to node 7") && other.err.contains("configured as node 8"),
        "{other:?}"
    );
}

#[test]
fn two_nodes_with_one_id() {
    let parent = tempfile::tempdir().unwrap();
    let first = Node::start(&parent.path().join("first"), &["--node", "3"]);
    let member = format!("3={}", first.listen);
    let second = fails(&parent.path().join("second"), &["--node", "3", "--member", &member]);
    assert!(second.err.contains("node 3 runs already, at") && second.err.contains("--node"), "{second:?}");
    let member = format!("4={}", first.listen);
    let wrong = fails(&parent.path().join("second"), &["--node", "4", "--member", &member]);
    assert!(wrong.err.contains("but node 3 answers there: correct the list"), "{wrong:?}");
}

#[test]
fn data_of_a_newer_release() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    Node::start(&data, &[]).stop().with_code(0);
    std::fs::write(data.join("store/FORMAT"), "kv-storage lmdb 99\n").unwrap();
    let done = fails(&data, &[]);
    assert!(done.err.contains("has format 99, this release reads format 1"), "{done:?}");
}

#[test]
fn data_that_is_no_data() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    Node::start(&data, &[]).stop().with_code(0);
    std::fs::write(data.join("store/data.mdb"), vec![7; 100_000]).unwrap();
    let done = fails(&data, &[]);
    assert!(done.err.contains("is damaged or not of LMDB"), "{done:?}");
}
