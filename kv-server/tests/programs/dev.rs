//! `kv-server dev`.

use crate::support::{Dev, Running, is_alive, run, server, signal, until};

#[test]
fn the_printed_commands_work_as_printed() {
    let dev = Dev::start(&[]);
    assert!(dev.text.contains("3 nodes are up after"), "{}", dev.text);
    let put = dev.shell(&dev.printed("put greeting hello")).with_code(0);
    assert!(put.out.starts_with("stored 5 bytes under greeting, acknowledged by nodes "), "{put:?}");
    assert_eq!(dev.shell(&dev.printed("get greeting")).with_code(0).out, "hello");
    dev.shell(&dev.printed(" status")).with_code(0);
    // The next one is printed to be tried as well: reads and writes go on without the node that it kills.
    dev.shell(&dev.printed("kill -9")).with_code(0);
    assert_eq!(dev.shell(&dev.printed("get greeting")).with_code(0).out, "hello");
    dev.shell(&dev.printed("put greeting hello")).with_code(0);
}

#[test]
fn where_there_is_no_client_beside_the_server_one_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("kv-server");
    std::fs::copy(env!("CARGO_BIN_EXE_kv-server"), &copy).unwrap();
    let mut command = std::process::Command::new(&copy);
    let child = command.args(["dev", "--nodes", "1", "--port", "0", "--memory"]).current_dir(&directory);
    let child = child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
    let _running = Running(child.unwrap());
    let client = directory.path().join("kv");
    until("a client", || client.exists());
    let version = run(std::process::Command::new(&client).arg("--version")).with_code(0);
    assert!(version.out.starts_with("kv 0."), "{version:?}");
}

#[test]
fn data_outlives_a_restart() {
    let dev = Dev::start(&[]);
    dev.kv(["put", "greeting", "hello"]).with_code(0);
    let addresses = dev.addresses();
    let (done, directory) = dev.stop();
    done.with_code(0);
    let dev = Dev::start_in(directory, &[]);
    assert_eq!(dev.addresses(), addresses);
    assert_eq!(dev.kv(["get", "greeting"]).with_code(0).out, "hello");
    let nodes =
        run(server().args(["dev", "--nodes", "5", "--port", "0"]).current_dir(dev.path())).with_code(1);
    assert!(nodes.err.contains("the cluster in kv-data has 3 nodes"), "{nodes:?}");
}

#[test]
fn a_killed_node_is_started_again_and_serves_what_was_written_meanwhile() {
    let mut dev = Dev::start(&[]);
    dev.kv(["put", "before", "1"]).with_code(0);
    signal(dev.pids()[0], "KILL");
    dev.wait_until_said("node 1 was killed by signal 9; it is started again in 2 s");
    dev.kv(["put", "meanwhile", "2"]).with_code(0);
    assert_eq!(dev.kv(["get", "before"]).with_code(0).out, "1");
    dev.wait_until_said("node 1 is started again");
    until("three nodes", || dev.kv(["status"]).code == Some(0));
    assert_eq!(dev.kv(["get", "--r", "all", "meanwhile"]).with_code(0).out, "2");
}

#[test]
fn a_node_stays_down_if_that_is_asked_for() {
    let mut dev = Dev::start(&["--no-restart", "--memory"]);
    signal(dev.pids()[1], "KILL");
    dev.wait_until_said("node 2 was killed by signal 9; it stays down (--no-restart)");
    let status = dev.kv(["status"]).with_code(5);
    assert_eq!(status.out.matches("unreachable").count(), 1, "{status:?}");
}

#[test]
fn no_node_outlives_the_process_that_looks_after_it() {
    let dev = Dev::start(&[]);
    let pids = dev.pids();
    signal(dev.pid(), "KILL");
    until("the end of all nodes", || pids.iter().all(|pid| !is_alive(*pid)));
    let errors = dev.errors();
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn a_port_in_use_is_named_before_anything_is_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let done =
        run(server().args(["dev", "--nodes", "1", "--port", &port]).current_dir(&directory)).with_code(1);
    assert!(done.err.contains(&format!("port {port} is in use")) && done.err.contains("--port"), "{done:?}");
}
