//! A real data set is put into a cluster that loses a node meanwhile, and read back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use bytes::Bytes;
use kv_core::bucket::Quorum;
use kv_core::command::{
    Content, Get, GetAnswer, GetMany, Put, PutMany, PutResult, ReadOptions, Replace, WriteOptions,
};
use kv_core::key::Key;
use kv_net::Client;

use crate::cluster::Cluster;
use crate::process::PATIENCE;
use crate::unihan::{self, Fact};

/// Keys of one request.
const BATCH: usize = 200;
/// Requests under way.
const REQUESTS: usize = 8;
/// Where the facts are put.
const BUCKET: &str = "default";

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct RealData {
    /// Most records to put.
    #[arg(long, default_value_t = 2_000_000)]
    pub records: usize,
    /// One of so many records is also read from all replicas.
    #[arg(long, default_value_t = 10)]
    pub sample: usize,
}

/// What was done.
#[derive(Debug, Default, Clone)]
pub struct Done {
    /// Records that were put and read back.
    pub records: usize,
    /// Puts that were repeated because their end was unknown, or because they were refused.
    pub repeated: u64,
}

/// Puts, kills, restarts, reads; prints how far it is.
///
/// # Errors
///
/// If the data set is not there, or anything is read that differs from it.
pub async fn run(options: &RealData) -> anyhow::Result<Done> {
    let mut facts = unihan::facts(options.records)?;
    // A character has each field once, so later lines are no other values of the same key; make sure.
    let mut seen = HashMap::with_capacity(facts.len());
    facts.retain(|(key, _)| seen.insert(key.clone(), ()).is_none());
    drop(seen);
    let bytes: usize = facts.iter().map(|(key, value)| key.len() + value.len()).sum();
    println!("{} records of the Unihan database, {:.1} MB", facts.len(), bytes as f64 / 1e6);
    let mut cluster = Cluster::start(3, &[]).await?;
    let client = cluster.client(Duration::from_secs(10))?;

    let begun = Instant::now();
    let thirds: Vec<&[Fact]> = facts.chunks(facts.len().div_ceil(3).max(1)).collect();
    let mut done = Done { records: facts.len(), ..Done::default() };
    let mut put = 0;
    for (index, third) in thirds.iter().enumerate() {
        if index == 1 {
            // Killed amid the puts of this third, back amid those of the last.
            let (before, after) = third.split_at(third.len() / 4);
            put_all(&client, before, &mut done, &mut put, begun).await?;
            let killed = async {
                tokio::task::yield_now().await;
                cluster.kill(&[2]);
                println!("node 3 was killed");
            };
            let (result, ()) = tokio::join!(put_all(&client, after, &mut done, &mut put, begun), killed);
            result?;
        } else if index == 2 {
            let restarted = async {
                cluster.spawn(2)?;
                cluster.ready(2).await?;
                println!("node 3 is back");
                anyhow::Ok(())
            };
            let (result, restarted) =
                tokio::join!(put_all(&client, third, &mut done, &mut put, begun), restarted);
            restarted?;
            result?;
        } else {
            put_all(&client, third, &mut done, &mut put, begun).await?;
        }
    }
    let rate = facts.len() as f64 / begun.elapsed().as_secs_f64();
    println!("{} records put at {rate:.0} a second; {} puts were repeated", facts.len(), done.repeated);

    let begun = Instant::now();
    compare(&client, &facts, Quorum::Majority).await?;
    let rate = facts.len() as f64 / begun.elapsed().as_secs_f64();
    println!("{} records read back at {rate:.0} a second, all equal", facts.len());

    let sample: Vec<Fact> = facts.iter().step_by(options.sample.max(1)).cloned().collect();
    compare(&client, &sample, Quorum::All).await?;
    println!("{} records read from all replicas, all equal", sample.len());
    // Reading repaired what the node missed: now it has each by itself.
    let direct = cluster.direct(2);
    for (key, value) in sample.iter().step_by(sample.len().div_ceil(2_000)) {
        let begun = Instant::now();
        let get = Get::new(BUCKET, Key::try_from(key.as_str())?).with_r(Quorum::One);
        while !holds(&direct.get(get.clone()).await?, value) {
            ensure!(begun.elapsed() < PATIENCE, "node 3 was not brought up to date: {key}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    println!("node 3 alone has what was read, in a sample of at most 2,000");
    client.shut_down().await;
    cluster.check_logs()?;
    Ok(done)
}

async fn put_all(
    client: &Client,
    facts: &[Fact],
    done: &mut Done,
    put: &mut usize,
    begun: Instant,
) -> anyhow::Result<()> {
    for some in facts.chunks(BATCH * REQUESTS) {
        let requests = some.chunks(BATCH).map(|batch| put_batch(client, batch));
        for repeated in futures::future::try_join_all(requests).await? {
            done.repeated += repeated;
        }
        let before = *put / 100_000;
        *put += some.len();
        if *put / 100_000 > before {
            println!("{} put, {:.0} a second", *put, *put as f64 / begun.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// Puts until every put was acknowledged. An overwrite may be repeated: it replaces what an earlier try may have left.
async fn put_batch(client: &Client, batch: &[Fact]) -> anyhow::Result<u64> {
    let mut left: Vec<&Fact> = batch.iter().collect();
    let mut repeated = 0;
    for _ in 0..20 {
        let puts = left.iter().map(|(key, value)| {
            Ok((
                Key::try_from(key.as_str())?,
                Content::value(Bytes::copy_from_slice(value.as_bytes())),
                Replace::Overwrite,
            ))
        });
        let puts = puts.collect::<anyhow::Result<_>>()?;
        let command = PutMany { bucket: BUCKET.into(), puts, options: WriteOptions::default() };
        match client.put_many(command).await {
            Ok(results) => {
                ensure!(results.len() == left.len(), "{} results for {} puts", results.len(), left.len());
                let mut results = results.iter();
                left.retain(|_| !matches!(results.next(), Some(PutResult::Applied(_))));
            }
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
        if left.is_empty() {
            return Ok(repeated);
        }
        repeated += left.len() as u64;
    }
    // For the reason why.
    let (key, value) = left[0];
    client.put(Put::new(BUCKET, Key::try_from(key.as_str())?, value.clone())).await.into_result()?;
    bail!("{} puts were tried 20 times in vain, {key} among them", left.len())
}

async fn compare(client: &Client, facts: &[Fact], r: Quorum) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut read = 0;
    for some in facts.chunks(BATCH * REQUESTS) {
        let requests = some.chunks(BATCH).map(|batch| compare_batch(client, batch, r));
        futures::future::try_join_all(requests).await?;
        let before = read / 250_000;
        read += some.len();
        if read / 250_000 > before {
            println!("{read} read, {:.0} a second", read as f64 / begun.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

async fn compare_batch(client: &Client, batch: &[Fact], r: Quorum) -> anyhow::Result<()> {
    let keys = batch.iter().map(|(key, _)| Key::try_from(key.as_str())).collect::<Result<_, _>>()?;
    let options = ReadOptions { r: Some(r), ..ReadOptions::default() };
    let answers = client.get_many(GetMany { bucket: BUCKET.into(), keys, options }).await?;
    ensure!(answers.len() == batch.len(), "{} answers for {} gets", answers.len(), batch.len());
    for ((key, value), answer) in batch.iter().zip(answers) {
        let answer = answer.map_err(|error| anyhow::anyhow!("{key}: {error}"))?;
        ensure!(holds(&answer, value), "{key}: put {value:?}, got {:?}", answer.values);
    }
    Ok(())
}

/// Whether exactly that value is there. A put that was repeated may stand beside itself.
fn holds(answer: &GetAnswer, value: &str) -> bool {
    !answer.values.is_empty() && answer.values.iter().all(|sibling| sibling.value == value.as_bytes())
}
