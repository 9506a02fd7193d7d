//! Real processes that stand in for others that were killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{Get, Put, PutApplied};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::membership::Liveness;
use kv_tests::cluster::Cluster;
use kv_tests::process::within;

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(600);
/// How long what takes moments may take.
const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 200;

fn key(number: usize) -> Key {
    Key::try_from(format!("key-{number}").as_str()).unwrap()
}

/// Waits until `is_so` of each of these nodes.
async fn until(cluster: &Cluster, nodes: &[usize], is_so: impl Fn(&kv_core::wire::NodeStatus) -> bool) {
    let end = Instant::now() + PATIENCE;
    for node in nodes {
        while !cluster.status(*node).await.is_ok_and(|status| is_so(&status)) {
            assert!(Instant::now() < end, "node {}: {:?}", node + 1, cluster.status(*node).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn with_two_of_five_nodes_killed_every_key_is_read_and_written_and_both_get_what_they_missed() {
    within(AMPLE, async {
        let quick = ["--set", "limits.probe_period_ms=200", "--set", "limits.probe_timeout_ms=100"];
        let more = ["--set", "limits.suspicion_ms=400", "--set", "limits.delivery_period_ms=100"];
        let mut cluster = Cluster::start(5, &[quick, more].concat()).await.unwrap();
        until(&cluster, &[0, 1, 2, 3, 4], |status| {
            status.peers.iter().all(|peer| peer.liveness == Liveness::Up)
        })
        .await;
        cluster.kill(&[3, 4]);
        let gone = [NodeId(4), NodeId(5)];
        let present = [0, 1, 2];
        until(&cluster, &present, |status| {
            let is_down = |peer: &&kv_core::wire::PeerStatus| peer.liveness == Liveness::Down;
            status.peers.iter().filter(is_down).map(|peer| peer.node).eq(gone)
        })
        .await;

        let client = cluster.client(Duration::from_secs(5)).unwrap();
        let mut acks = Vec::new();
        for number in 0..KEYS {
            let put = Put::new("default", key(number), format!("value {number}"));
            let applied: PutApplied = client.put(put).await.into_result().unwrap();
            acks.extend(applied.acks);
            let answer = client.get(Get::new("default", key(number))).await.unwrap();
            assert_eq!(answer.values.len(), 1, "key {number}");
        }
        assert!(acks.iter().any(|ack| ack.stands_for.is_some_and(|owner| gone.contains(&owner))));

        for node in [3, 4] {
            cluster.spawn(node).unwrap();
            cluster.ready(node).await.unwrap();
        }
        until(&cluster, &[0, 1, 2, 3, 4], |status| status.peers.iter().all(|peer| peer.copies == 0)).await;
        // Each owner has each key by itself: nobody has read it there.
        for number in 0..KEYS {
            let mut get = Get::new("default", key(number)).with_r(Quorum::All);
            get.options.quorum = Some(QuorumMode::Strict);
            get.options.explain = true;
            let answer = client.get(get).await.unwrap();
            let explain = answer.explain.unwrap();
            assert!(
                explain.replicas.iter().all(|replica| replica.versions.len() == 1 && !replica.repaired),
                "key {number}: {explain:?}"
            );
        }
        client.shut_down().await;
        cluster.check_logs().unwrap();
    })
    .await;
}
