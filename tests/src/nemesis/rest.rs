//! Waits until a cluster has come to rest, and reads everything.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::causality::Dot;
use kv_core::command::{self, Explain, GetAnswer, ReplicaState};
use kv_core::error::Error;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::membership::Liveness;
use kv_net::Client;

use crate::cluster::{Cluster, Direct};
use crate::nemesis::history::Get;
use crate::nemesis::recorder::Recorder;
use crate::nemesis::workload::Used;

/// How it is said that owners do not have the same.
pub const UNEQUAL: &str = "the owners do not have the same";
/// Keys that are read at a time.
const AT_A_TIME: usize = 32;

/// How a cluster came to rest.
#[derive(Debug, Clone)]
pub struct Rest {
    /// How long it took until no node kept anything for another, and all nodes heard each other.
    pub handed_over: Duration,
    /// How long until all owners of every key had the same.
    pub equal: Duration,
    /// Keys whose owners did not have the same when everything had been handed over: exchanges made them equal.
    pub unequal: usize,
    /// Keys that there are.
    pub keys: usize,
}

/// Waits until every node is up, hears all others and keeps nothing for them; then until all owners of each key have the same. Looking
/// whether they have changes nothing: what they missed, and nobody stood in for, has to come by exchanges.
///
/// # Errors
///
/// If that does not happen within `patience`.
pub async fn converge(
    cluster: &mut Cluster,
    keys: &[(Used, String)],
    patience: Duration,
) -> anyhow::Result<Rest> {
    let begun = Instant::now();
    for node in 0..cluster.len() {
        cluster.ready(node).await?;
    }
    for node in 0..cluster.len() {
        while let Some(why) = unrest(cluster, node).await {
            if begun.elapsed() > patience {
                bail!("node {} does not come to rest: {why}", node + 1);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let handed_over = begun.elapsed();
    let nodes: Vec<Direct> = (0..cluster.len()).map(|node| cluster.direct(node)).collect();
    let mut first = None;
    loop {
        let unequal = look(&nodes, keys).await;
        let count = *first.get_or_insert(unequal.len());
        if unequal.is_empty() {
            return Ok(Rest { handed_over, equal: begun.elapsed(), unequal: count, keys: keys.len() });
        }
        if begun.elapsed() > patience {
            bail!("{UNEQUAL}, of {} keys: {}", unequal.len(), unequal[0]);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Why a node is not at rest.
async fn unrest(cluster: &Cluster, node: usize) -> Option<String> {
    match cluster.status(node).await {
        Err(error) => Some(format!("{error:#}")),
        Ok(status) if !status.trouble.is_empty() => Some(status.trouble),
        Ok(status) => {
            let peer = status.peers.iter().find(|peer| peer.liveness != Liveness::Up || peer.copies > 0);
            peer.map(|peer| format!("{peer:?}"))
        }
    }
}

/// The keys of which not all owners have the same, with what they have.
async fn look(nodes: &[Direct], keys: &[(Used, String)]) -> Vec<String> {
    let mut unequal = Vec::new();
    for some in keys.chunks(AT_A_TIME) {
        let looks = some.iter().map(|(bucket, name)| difference(nodes, &bucket.name, name));
        for ((bucket, name), difference) in some.iter().zip(futures::future::join_all(looks).await) {
            let why = difference.unwrap_or_else(|error| Some(format!("{error:#}")));
            unequal.extend(why.map(|why| format!("{} {name}: {why}", bucket.name)));
        }
    }
    unequal
}

/// What the owners of a key have, if that is not the same. Each is asked by itself, so that nothing is repaired.
async fn difference(nodes: &[Direct], bucket: &str, name: &str) -> anyhow::Result<Option<String>> {
    let owners =
        alone(&nodes[0], bucket, name).await?.replicas.into_iter().filter(|replica| replica.is_owner);
    let mut all: Vec<(NodeId, Vec<Dot>)> = Vec::new();
    for owner in owners {
        let node = &nodes[owner.node.0 as usize - 1];
        let replicas = alone(node, bucket, name).await?.replicas;
        let own = replicas.into_iter().find(|replica| replica.node == owner.node);
        let own = own.filter(|replica| replica.state == ReplicaState::Answered);
        let own = own.with_context(|| format!("node {} has not answered from its store", owner.node))?;
        let mut dots: Vec<Dot> = own.versions.iter().map(|version| version.dot).collect();
        dots.sort_unstable();
        all.push((owner.node, dots));
    }
    let is_same = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
    Ok((!is_same).then(|| format!("{all:?}")))
}

/// What a node says of a key that asks nobody if it is an owner.
async fn alone(node: &Direct, bucket: &str, name: &str) -> anyhow::Result<Explain> {
    let mut get = command::Get::new(bucket, Key::try_from(name).unwrap()).with_r(Quorum::One);
    get.options.quorum = Some(QuorumMode::Strict);
    get.options.explain = true;
    Ok(*node.get(get).await?.explain.context("no explanation was given")?)
}

async fn read(client: &Client, bucket: &str, name: &str) -> Result<GetAnswer, Error> {
    let mut get = command::Get::new(bucket, Key::try_from(name).unwrap()).with_r(Quorum::All);
    get.options.quorum = Some(QuorumMode::Strict);
    get.options.explain = true;
    client.get(get).await
}

/// Reads every key from all of its owners, for the judge.
pub async fn read_last(client: &Client, keys: &[(Used, String)], recorder: &Recorder) {
    for some in keys.chunks(AT_A_TIME) {
        let gets = some.iter().map(|(bucket, name)| async {
            let get = Get {
                client: 0,
                entry: None,
                bucket: bucket.name.clone(),
                key: name.clone(),
                begin_us: recorder.now_us(),
                end_us: 0,
                owners: 0,
                last: true,
                values: None,
                error: None,
            };
            let answer = read(client, &bucket.name, name).await;
            let owners = answer.as_ref().ok().and_then(|answer| answer.explain.as_ref());
            let owners = owners.map_or(0, |explain| explain.replicas.len());
            recorder.get(get, owners, &answer);
        });
        futures::future::join_all(gets).await;
    }
}
