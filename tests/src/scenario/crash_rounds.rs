//! All nodes are killed at once, again and again: what was acknowledged is there.

use std::time::{Duration, Instant};

use kv_core::bucket::Quorum;

use crate::cluster::Cluster;
use crate::load::{Load, LoadOptions, Tally};
use crate::scenario::fail_on;

/// How long a put or get is tried: nodes come back sooner.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct CrashRounds {
    /// How often all nodes are killed.
    #[arg(long, default_value_t = 100)]
    pub rounds: u32,
    /// Clients at work side by side.
    #[arg(long, default_value_t = 16)]
    pub writers: usize,
}

/// Runs the rounds; prints one line for each, and the counts.
///
/// # Errors
///
/// If anything acknowledged is lost, if anything is there that must not be, and if a node does not come back.
pub async fn run(options: &CrashRounds) -> anyhow::Result<Tally> {
    let mut cluster = Cluster::start(3, &[]).await?;
    let mut load = Load::new(&LoadOptions { writers: options.writers, ..LoadOptions::default() });
    let mut all = Tally::default();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for round in 1..=options.rounds {
        let begun = Instant::now();
        let client = cluster.client(TIMEOUT)?;
        let running = load.start(&client);
        // The moment of the kill is random, but never before the load is under way.
        running.more(50).await?;
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..500))).await;
        cluster.kill(&[0, 1, 2]);
        let stopping = running.stop();
        let restarting = async {
            for node in 0..3 {
                cluster.spawn(node)?;
            }
            for node in 0..3 {
                cluster.ready(node).await?;
            }
            anyhow::Ok(())
        };
        let (stopped, restarted) = tokio::join!(stopping, restarting);
        restarted?;
        load = stopped;
        let mut tally = load.tally();
        wrong.append(&mut tally.violations);
        let (keys, lost) = load.check(&client, Quorum::Majority).await;
        let ok = if lost.is_empty() { "all there" } else { "NOT ALL THERE" };
        println!(
            "round {round}: {} puts applied, {} indeterminate, {} not applied, {} gets; {keys} keys read, {ok} ({:.1} s)",
            tally.applied,
            tally.indeterminate,
            tally.not_applied,
            tally.answered,
            begun.elapsed().as_secs_f64()
        );
        wrong.extend(lost.into_iter().map(|what| format!("round {round}: {what}")));
        checked += keys;
        all.add(tally);
        client.shut_down().await;
    }
    let client = cluster.client(TIMEOUT)?;
    let (keys, lost) = load.check(&client, Quorum::All).await;
    wrong.extend(lost);
    println!("{} rounds; {}", options.rounds, all.summary());
    println!(
        "{checked} keys read at quorum after the kills and {keys} from all replicas at the end: {} wrong",
        wrong.len()
    );
    cluster.check_logs()?;
    fail_on("wrong", &wrong)?;
    Ok(all)
}
