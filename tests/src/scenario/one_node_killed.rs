//! One node is killed under load: the others go on, and reading brings it up to date when it is back.

use std::time::{Duration, Instant};

use kv_core::bucket::Quorum;
use kv_core::command::Get;
use kv_net::Client;

use crate::cluster::{Cluster, Direct};
use crate::load::{Load, LoadOptions, Tally};
use crate::process::PATIENCE;
use crate::scenario::fail_on;

/// When every client has seen that its connections ended: what it sent before it looked counts as in flight.
const NOTICED: Duration = Duration::from_millis(20);

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct OneNodeKilled {
    /// How often a node is killed, each in turn.
    #[arg(long, default_value_t = 6)]
    pub rounds: u32,
    /// Clients at work side by side.
    #[arg(long, default_value_t = 16)]
    pub writers: usize,
    /// Operations that end while the node is down.
    #[arg(long, default_value_t = 2_000)]
    pub operations: u64,
}

/// Runs the rounds; prints one line for each, and the counts.
///
/// # Errors
///
/// If an operation failed that was not in flight when the node was killed, if any answer is wrong, and if the node is not brought up to date.
pub async fn run(options: &OneNodeKilled) -> anyhow::Result<Tally> {
    let mut cluster = Cluster::start(3, &[]).await?;
    let client = cluster.client(Duration::from_secs(5))?;
    let mut load = Load::new(&LoadOptions { writers: options.writers, ..LoadOptions::default() });
    let mut all = Tally::default();
    let mut wrong = Vec::new();
    for round in 1..=options.rounds {
        let node = (round as usize - 1) % 3;
        let running = load.start(&client);
        running.more(500).await?;
        let asked = Instant::now();
        cluster.kill(&[node]);
        // The clients have heard of it by the time that their sockets were looked at again.
        tokio::time::sleep(NOTICED).await;
        let killed = Instant::now();
        running.more(options.operations).await?;
        // Nothing is written once the node is back, so that only reading can bring it up to date.
        load = running.stop().await;
        let down = killed.elapsed();
        let tally = load.tally();
        let (in_flight, later): (Vec<_>, Vec<_>) =
            tally.failures.iter().partition(|failure| failure.began <= killed && failure.ended >= asked);
        wrong.extend(tally.violations.iter().map(|what| format!("round {round}: {what}")));
        wrong.extend(later.iter().map(|failure| {
            let after = failure.began.saturating_duration_since(killed);
            format!("round {round}: a {} failed {after:?} after the kill: {}", failure.what, failure.error)
        }));
        wrong.extend(in_flight.iter().filter(|failure| failure.what == "get").map(|failure| {
            format!("round {round}: a get in flight failed instead of being retried: {}", failure.error)
        }));
        cluster.spawn(node)?;
        cluster.ready(node).await?;
        let direct = cluster.direct(node).await;
        let stale = stale(&load, &client, &direct).await?;
        let (keys, lost) = load.check(&client, Quorum::All).await;
        wrong.extend(lost.into_iter().map(|what| format!("round {round}: {what}")));
        let repaired_after = repaired(&load, &client, &direct, node).await?;
        println!(
            "round {round}: node {} down for {down:.1?}; {} operations, {} failed in flight, {} later; back with {} of {keys} keys out of \
             date, none {repaired_after:.1?} after they were read",
            node + 1,
            tally.operations(),
            in_flight.len(),
            later.len(),
            stale.len(),
        );
        anyhow::ensure!(!stale.is_empty(), "nothing was missed by the node, so nothing was shown");
        all.add(tally);
    }
    println!("{} kills; {}", options.rounds, all.summary());
    client.shut_down().await;
    cluster.check_logs()?;
    fail_on("wrong", &wrong)?;
    Ok(all)
}

/// Keys of which that node alone says something else than a quorum without repairing it would: it is asked first.
async fn stale(load: &Load, client: &Client, direct: &Direct) -> anyhow::Result<Vec<Get>> {
    let mut before = Vec::new();
    for get in load.gets() {
        before.push((values(&direct.get(get.clone().with_r(Quorum::One)).await?), get));
    }
    let mut stale = Vec::new();
    for (alone, get) in before {
        if alone != values(&client.get(get.clone()).await?) {
            stale.push(get);
        }
    }
    Ok(stale)
}

/// Waits until the node alone says of every key what all say together.
async fn repaired(load: &Load, client: &Client, direct: &Direct, node: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for get in load.gets() {
        let all = values(&client.get(get.clone().with_r(Quorum::All)).await?);
        while values(&direct.get(get.clone().with_r(Quorum::One)).await?) != all {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "node {} is not repaired: {get:?}", node + 1);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(begun.elapsed())
}

fn values(answer: &kv_core::command::GetAnswer) -> Vec<bytes::Bytes> {
    let mut values: Vec<bytes::Bytes> = answer.values.iter().map(|sibling| sibling.value.clone()).collect();
    values.sort_unstable();
    values
}
