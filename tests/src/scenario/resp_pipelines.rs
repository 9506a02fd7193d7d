//! Random pipelines for the front door for clients of Redis, each checked against a map that takes one command after the other.

use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::resp::client::{HangsUp, exchange};
use crate::resp::encode;
use crate::resp::model::Model;
use crate::resp::pipeline::Pipeline;
use crate::resp::served::Served;

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct RespPipelines {
    /// Commands that are checked, at least.
    #[arg(long, default_value_t = 1_000_000)]
    pub commands: u64,
    /// The seed; it and the number of a pipeline find it again.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The number of the first pipeline. Odd ones meet one node, even ones three.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
}

/// Connections at a time.
const CONNECTIONS: u64 = 16;

/// Pipelines after which the nodes are made anew, and their memory is given back.
const LIFE: u64 = 16_000;

/// Runs it, prints what was done, and returns how many commands were checked.
///
/// # Errors
///
/// At the first reply that the map does not give, with what finds it again.
pub async fn run(options: &RespPipelines) -> anyhow::Result<u64> {
    let begun = Instant::now();
    let (mut next, mut commands) = (options.first, 0);
    while commands < options.commands {
        let served = [Served::start(3, None).await?, Served::start(1, None).await?];
        let end = next + LIFE;
        while next < end && commands < options.commands {
            let pipelines = (next..next + CONNECTIONS).map(async |number| {
                let place = number as usize;
                let checked = check(&served[place % 2], options.seed, number).await;
                checked.with_context(|| {
                    format!("found again with --seed {} --first {number} --commands 1", options.seed)
                })
            });
            commands += try_join_all(pipelines).await?.into_iter().sum::<u64>();
            next += CONNECTIONS;
        }
        for nodes in served {
            nodes.stop().await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{commands} commands of {} pipelines in {seconds:.0} s, {:.0} commands a second, all as one after the other",
            next - options.first,
            commands as f64 / seconds.max(1e-9)
        );
    }
    Ok(commands)
}

/// Runs a pipeline, and reads every key of it through another node.
async fn check(served: &Served, seed: u64, number: u64) -> anyhow::Result<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let pipeline = Pipeline::random(&mut random, &format!("{number}:"));
    let mut model = Model::default();
    let door = served.address(number as usize / 2);
    compare(door, number, &pipeline.commands, &pipeline.pieces(), pipeline.hangs_up, &mut model).await?;

    let mut after: Vec<Vec<Bytes>> = Vec::new();
    for (bucket, key, _) in model.values() {
        after.push(vec!["SELECT".into(), bucket.clone()]);
        after.push(vec!["KV.GET".into(), key.clone()]);
    }
    let mut bytes = Vec::new();
    after.iter().for_each(|words| encode::array(words, &mut bytes));
    let door = served.address(number as usize / 2 + 1);
    model.reconnect();
    compare(door, number, &after, &[&bytes], HangsUp::AtOnce, &mut model).await.context("read afterwards")?;
    Ok((pipeline.commands.len() + after.len()) as u64)
}

async fn compare(
    door: std::net::SocketAddr,
    number: u64,
    commands: &[Vec<Bytes>],
    pieces: &[&[u8]],
    hangs_up: HangsUp,
    model: &mut Model,
) -> anyhow::Result<()> {
    let replies = exchange(door, number, pieces, hangs_up).await?;
    for (place, words) in commands.iter().enumerate() {
        let (expected, protocol) = model.take(words);
        let reply = replies.get(place);
        ensure!(
            reply.is_some_and(|reply| expected.fits(reply, protocol)),
            "command {place}, {words:?}: {reply:?}, and should be {expected:?} in {protocol:?}"
        );
    }
    ensure!(replies.len() == commands.len(), "{} replies to {} commands", replies.len(), commands.len());
    Ok(())
}
