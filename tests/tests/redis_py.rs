//! The client redis-py, as it is: `tests/clients/redis_py.py` says what is checked.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kv_tests::cluster::Cluster;
use kv_tests::process::within;
use kv_tests::tools::{is_missing, python_with, run};

/// However slow the machine and the network are; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

const VERSION: &str = "8.1.0";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/redis_py.py");

#[tokio::test]
async fn the_client_for_python_works_with_both_protocols() {
    if is_missing("python3", &["-c", "import ensurepip, venv"], "python3 python3-venv").await {
        return;
    }
    within(AMPLE, async {
        let python = python_with("redis", VERSION).await.unwrap();
        for nodes in [1, 3] {
            let cluster = Cluster::start(nodes, &[]).await.unwrap();
            let address = cluster.resp(0).unwrap();
            let arguments = ["-W", "error", SCRIPT, &address];
            let outcome = run(python.to_str().unwrap(), &arguments, b"").await.unwrap();
            assert_eq!(outcome.code, Some(0), "{} nodes:\n{}{}", nodes, outcome.out, outcome.complaints);
            cluster.check_logs().unwrap();
        }
    })
    .await;
}
