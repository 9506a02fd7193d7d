//! Real processes that compare what they hold: a node that was away gets everything although nobody reads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{Get, Put};
use kv_core::key::Key;
use kv_tests::cluster::Cluster;
use kv_tests::process::within;

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 300;

fn key(number: usize) -> Key {
    Key::try_from(format!("key-{number}").as_str()).unwrap()
}

#[tokio::test]
async fn a_node_that_was_killed_gets_what_it_missed_although_nobody_stood_in_and_nobody_reads() {
    within(AMPLE, async {
        let mut cluster = Cluster::start(3, &["--set", "limits.repair_period_ms=1000"]).await.unwrap();
        let client = cluster.client(Duration::from_secs(5)).unwrap();
        // What it had before it was killed is there, and was marked as it was written.
        client.put(Put::new("default", key(KEYS), "before").with_w(Quorum::All)).await.into_result().unwrap();
        cluster.kill(&[2]);
        for number in 0..KEYS {
            let mut put = Put::new("default", key(number), format!("value {number}"));
            put.options.quorum = Some(QuorumMode::Strict);
            client.put(put).await.into_result().unwrap();
        }
        cluster.spawn(2).unwrap();
        cluster.ready(2).await.unwrap();
        let direct = cluster.direct(2);
        let end = Instant::now() + PATIENCE;
        for number in 0..=KEYS {
            let get = Get::new("default", key(number)).with_r(Quorum::One);
            while direct.get(get.clone()).await.unwrap().values.is_empty() {
                assert!(Instant::now() < end, "key {number}: {:?}", cluster.status(2).await.unwrap().repair);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        client.shut_down().await;
        cluster.check_logs().unwrap();
    })
    .await;
}
