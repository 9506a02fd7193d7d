use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use heed::{CommitOrAbort, EnvOpenOptions, types};
use kv_core::bucket::Quorum;
use kv_core::command::{Content, Get, Put, PutMany, Replace, WriteOptions};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_net::transport::{AddressBook, Identity, LocalNetwork};
use kv_net::{Node, NodeConfig};
use kv_storage::{LmdbOptions, LmdbStorage};

use crate::allocations;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Keys in the store.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Keys that are read.
    #[arg(long, default_value_t = 1_000)]
    hot: u64,
    /// Gets a round.
    #[arg(long, default_value_t = 500_000)]
    gets: u64,
    /// Rounds; the best counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

fn key(number: u64) -> [u8; 16] {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let directory = place.path().join("raw");
    std::fs::create_dir(&directory)?;
    // SAFETY: the directory is new and nobody else's.
    let env = unsafe { EnvOpenOptions::new().map_size(1 << 36).max_readers(1_024).open(directory)? };
    let txn = env.write_txn()?;
    let entries = env
        .create_databases_and_commit(txn, |opener, txn| {
            opener
                .create_database::<types::Bytes, types::Bytes>(txn, None)
                .map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    let mut txn = env.write_txn()?;
    for number in 0..options.keys {
        entries.put(&mut txn, &key(number), &[7; 100])?;
    }
    txn.commit()?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let node = runtime.block_on(node(place.path(), options.keys))?;

    let raw = || {
        let mut value = Vec::with_capacity(256);
        let begun = Instant::now();
        for number in 0..options.gets {
            let txn = env.read_txn().unwrap();
            value.clear();
            value.extend_from_slice(entries.get(&txn, &key(number % options.hot)).unwrap().unwrap());
            black_box(&value);
        }
        begun.elapsed()
    };
    let ours = || {
        runtime.block_on(async {
            let begun = Instant::now();
            for number in 0..options.gets {
                let key = Key::new(Bytes::copy_from_slice(&key(number % options.hot))).unwrap();
                let got = node.get(Get::new("default", key).with_r(Quorum::One)).await.unwrap();
                black_box(&got);
            }
            begun.elapsed()
        })
    };
    let (mut best_raw, mut best_ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..options.rounds {
        best_raw = best_raw.min(raw());
        best_ours = best_ours.min(ours());
    }
    let (_, allocated) = allocations::during(ours);
    let each = |time: Duration| time.as_nanos() as f64 / options.gets as f64;
    println!(
        "{} keys, {} of them hot, values of 100 bytes, {} gets a round, best of {} rounds, one thread",
        options.keys, options.hot, options.gets, options.rounds
    );
    println!("raw heed get, one transaction each   {:>8.0} ns", each(best_raw));
    println!("Node::get at R=1 on LmdbStorage      {:>8.0} ns", each(best_ours));
    println!("ratio                                {:>8.2}", each(best_ours) / each(best_raw));
    println!("allocations a get                    {:>8.2}", allocated as f64 / options.gets as f64);
    let puts = || runtime.block_on(put_side_by_side(&node, 20_000));
    let (_, allocated) = allocations::during(puts);
    println!("allocations a put, 64 side by side   {:>8.2}", allocated as f64 / 20_000.0);
    runtime.block_on(node.shut_down(Duration::from_secs(2)));
    Ok(())
}

/// Puts that many values, 64 at a time.
async fn put_side_by_side(node: &Node, count: u64) {
    let puts = futures::stream::iter(0..count).map(|number| async move {
        let key = Key::new(Bytes::copy_from_slice(&key(number))).unwrap();
        let put = Put::new("redis", key, Bytes::from_static(&[7; 100]));
        node.put(Put { replace: Replace::Nothing, ..put }).await.into_result().unwrap();
    });
    puts.buffer_unordered(64).for_each(|()| std::future::ready(())).await;
}

async fn node(place: &std::path::Path, keys: u64) -> anyhow::Result<Node> {
    let store = LmdbStorage::open(place.join("node"), &LmdbOptions::default())?;
    let id = NodeId(1);
    let members = vec![Member::new(id, "1")];
    let config = NodeConfig { members, replicas: 1, ..NodeConfig::new(id, store) };
    let network = LocalNetwork::new();
    let transport = network.join(id);
    let identity = Arc::new(Identity::node(id, None));
    let node = Node::start(config, transport, identity, Arc::new(AddressBook::new())).await?;
    node.init().await?;
    node.put(Put::new("default", Key::try_from("warm")?, "up")).await.into_result()?;
    for first in (0..keys).step_by(1_000) {
        let puts = (first..keys.min(first + 1_000)).map(|number| {
            let key = Key::new(Bytes::copy_from_slice(&key(number))).unwrap();
            (key, Content::value(Bytes::from_static(&[7; 100])), Replace::Nothing)
        });
        let put =
            PutMany { bucket: "default".into(), puts: puts.collect(), options: WriteOptions::default() };
        for result in node.put_many(put).await? {
            result.into_result()?;
        }
    }
    Ok(node)
}
