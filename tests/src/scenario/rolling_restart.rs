//! Each node in turn is asked to stop and started again: no quorum operation fails.

use std::time::{Duration, Instant};

use kv_core::bucket::Quorum;

use crate::cluster::Cluster;
use crate::load::{Load, LoadOptions, Tally};
use crate::scenario::fail_on;

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct RollingRestart {
    /// How often each node is restarted.
    #[arg(long, default_value_t = 5)]
    pub loops: u32,
    /// Clients at work side by side.
    #[arg(long, default_value_t = 16)]
    pub writers: usize,
}

/// Runs the loops; prints one line for each restart, and the counts.
///
/// # Errors
///
/// If any operation failed or is of unknown end, or any answer is wrong.
pub async fn run(options: &RollingRestart) -> anyhow::Result<Tally> {
    let mut cluster = Cluster::start(3, &[]).await?;
    let client = cluster.client(Duration::from_secs(5))?;
    let load = Load::new(&LoadOptions { writers: options.writers, ..LoadOptions::default() });
    let running = load.start(&client);
    let origin = Instant::now();
    for turn in 1..=options.loops {
        for node in 0..3 {
            running.more(200).await?;
            let begun = Instant::now();
            cluster.terminate(node).await?;
            let ended = begun.elapsed();
            cluster.spawn(node)?;
            cluster.ready(node).await?;
            println!(
                "loop {turn}, node {}: asked to stop at {:.3} s, ended after {} ms, ready after {} ms, {} operations so far",
                node + 1,
                (begun - origin).as_secs_f64(),
                ended.as_millis(),
                begun.elapsed().as_millis(),
                running.operations()
            );
        }
    }
    running.more(200).await?;
    let mut load = running.stop().await;
    let tally = load.tally();
    println!("{} restarts; {}", options.loops * 3, tally.summary());
    let mut wrong = tally.violations.clone();
    wrong.extend(tally.failures.iter().map(|failure| {
        format!(
            "{} failed, {:.3} to {:.3} s: {}",
            failure.what,
            (failure.began - origin).as_secs_f64(),
            (failure.ended - origin).as_secs_f64(),
            failure.error
        )
    }));
    let (keys, lost) = load.check(&client, Quorum::Majority).await;
    println!("{keys} keys read at the end: {} wrong", lost.len());
    wrong.extend(lost);
    client.shut_down().await;
    cluster.check_logs()?;
    fail_on("wrong", &wrong)?;
    Ok(tally)
}
