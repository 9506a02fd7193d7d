//! Waits until a cluster has come to rest, and reads everything.

use std::time::{Duration, Instant};

use anyhow::bail;
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{self, Explain, GetAnswer, ReplicaState};
use kv_core::error::Error;
use kv_core::key::Key;
use kv_core::membership::Liveness;
use kv_net::Client;

use crate::cluster::Cluster;
use crate::nemesis::history::Get;
use crate::nemesis::recorder::Recorder;
use crate::nemesis::workload::Used;

/// Longest that a cluster may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(120);
/// Keys that are read at a time.
const AT_A_TIME: usize = 32;

/// How a cluster came to rest.
#[derive(Debug, Clone)]
pub struct Rest {
    /// How long it took until no node kept anything for another, and all nodes heard each other.
    pub handed_over: Duration,
    /// How long until all owners of every key had the same.
    pub equal: Duration,
    /// Keys whose owners did not have the same when everything had been handed over: reads made them equal.
    pub unequal: usize,
    /// Keys that there are.
    pub keys: usize,
}

/// Waits until every node is up, hears all others and keeps nothing for them; then until all owners of each key have the same.
///
/// Anti-entropy is to bring owners together that missed writes for which nobody stood in. Until it is there reads do, of every key with
/// R = all, if `read_everything`; without it they only look: equal owners are sent nothing.
///
/// # Errors
///
/// If that does not happen.
pub async fn converge(
    cluster: &mut Cluster,
    client: &Client,
    keys: &[(Used, String)],
    read_everything: bool,
) -> anyhow::Result<Rest> {
    let begun = Instant::now();
    for node in 0..cluster.len() {
        cluster.ready(node).await?;
    }
    for node in 0..cluster.len() {
        while let Some(why) = unrest(cluster, node).await {
            if begun.elapsed() > PATIENCE {
                bail!("node {} does not come to rest: {why}", node + 1);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let handed_over = begun.elapsed();
    let mut first = None;
    loop {
        let unequal = look(client, keys).await;
        let count = *first.get_or_insert(unequal.len());
        if unequal.is_empty() {
            return Ok(Rest { handed_over, equal: begun.elapsed(), unequal: count, keys: keys.len() });
        }
        if begun.elapsed() > PATIENCE || !read_everything {
            bail!("owners of {} keys do not have the same: {}", unequal.len(), unequal[0]);
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

/// The keys of which not all owners have the same, or that cannot be read, with the reason.
async fn look(client: &Client, keys: &[(Used, String)]) -> Vec<String> {
    let mut unequal = Vec::new();
    for some in keys.chunks(AT_A_TIME) {
        let answers = some.iter().map(|(bucket, name)| read(client, &bucket.name, name));
        for ((bucket, name), answer) in some.iter().zip(futures::future::join_all(answers).await) {
            let why = match &answer {
                Ok(answer) => answer.explain.as_ref().and_then(|explain| difference(explain)),
                Err(error) => Some(error.to_string()),
            };
            unequal.extend(why.map(|why| format!("{} {name}: {why}", bucket.name)));
        }
    }
    unequal
}

fn difference(explain: &Explain) -> Option<String> {
    let versions = |place: usize| {
        let mut names: Vec<_> = explain.replicas[place].versions.iter().map(|version| version.dot).collect();
        names.sort_unstable();
        names
    };
    let is_same = |place: usize| {
        let replica = &explain.replicas[place];
        replica.state == ReplicaState::Answered && !replica.repaired && versions(place) == versions(0)
    };
    let all = (0..explain.replicas.len()).all(is_same);
    (!all).then(|| format!("{:?}", explain.replicas))
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
