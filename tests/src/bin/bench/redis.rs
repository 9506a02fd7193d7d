use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kv_tests::cluster::Cluster;
use kv_tests::ports;

use crate::processes::{Processes, cpu_seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Requests of each measurement of a server that keeps nothing on disk.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Requests of each measurement of one that syncs.
    #[arg(long, default_value_t = 200_000)]
    synced_requests: u64,
    /// Connections.
    #[arg(long, default_value_t = 50)]
    clients: u64,
    /// Times that the whole is repeated, turn by turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure only servers whose name contains this, and Redis.
    #[arg(long, default_value = "")]
    only: String,
}

/// A server to be measured: how it is called, which arguments it takes, and which of Redis' it is compared with.
struct Subject {
    name: &'static str,
    nodes: usize,
    arguments: &'static [&'static str],
    synced: bool,
    peer: &'static str,
}

const REDIS: &str = "Redis";
const REDIS_SYNCED: &str = "Redis, appendfsync always";

const SUBJECTS: [Subject; 6] = [
    Subject { name: REDIS, nodes: 0, arguments: &["--appendonly", "no"], synced: false, peer: REDIS },
    Subject {
        name: REDIS_SYNCED,
        nodes: 0,
        arguments: &["--appendonly", "yes", "--appendfsync", "always"],
        synced: true,
        peer: REDIS_SYNCED,
    },
    Subject {
        name: "one node, memory",
        nodes: 1,
        arguments: &["--engine", "memory"],
        synced: false,
        peer: REDIS,
    },
    Subject { name: "one node, LMDB", nodes: 1, arguments: &[], synced: true, peer: REDIS_SYNCED },
    Subject {
        name: "three nodes, memory",
        nodes: 3,
        arguments: &["--engine", "memory"],
        synced: false,
        peer: REDIS,
    },
    Subject { name: "three nodes, LMDB", nodes: 3, arguments: &[], synced: true, peer: REDIS_SYNCED },
];

const DEPTHS: [u32; 2] = [1, 16];
const TESTS: [&str; 2] = ["SET", "GET"];

/// Requests a second of every round, by server, test and depth of pipelines.
type Figures = BTreeMap<(&'static str, &'static str, u32), Vec<f64>>;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "redis-benchmark -c {} -d 100 -r 1000000, everything on the same {} cores",
        options.clients,
        std::thread::available_parallelism()?
    );
    println!(
        "{:<28} {:>4} {:>3} {:>9} {:>8} {:>8} {:>10}",
        "", "", "P", "per s", "p50 ms", "p99 ms", "CPU us/op"
    );
    let mut figures = Figures::new();
    for _ in 0..options.rounds {
        for subject in &SUBJECTS {
            if subject.name == subject.peer || subject.name.contains(options.only.as_str()) {
                runtime.block_on(measure(options, subject, &mut figures))?;
            }
        }
    }
    println!("\nmedians of {} rounds, as a share of the peer:", options.rounds);
    for subject in SUBJECTS.iter().filter(|subject| subject.name != subject.peer) {
        for depth in DEPTHS {
            for test in TESTS {
                let median = |name| {
                    let mut figures = figures.get(&(name, test, depth))?.clone();
                    figures.sort_by(f64::total_cmp);
                    figures.get(figures.len() / 2).copied()
                };
                // What is read from a disk's cache is compared with what is always in memory.
                let peer = if test == "GET" { REDIS } else { subject.peer };
                if let (Some(ours), Some(theirs)) = (median(subject.name), median(peer)) {
                    println!(
                        "{:<20} {test} P={depth:<3} / {peer:<26} {ours:>9.0} / {theirs:>9.0} = {:.2}",
                        subject.name,
                        ours / theirs
                    );
                }
            }
        }
    }
    Ok(())
}

async fn measure(options: &Options, subject: &Subject, figures: &mut Figures) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(std::env::current_dir()?)?;
    let (redis, cluster, port);
    let pids = if subject.nodes == 0 {
        (redis, port) = start_redis(subject, place.path())?;
        redis.0.iter().map(Child::id).collect()
    } else {
        cluster = Cluster::start(subject.nodes, subject.arguments).await?;
        port = cluster.resp(0)?.rsplit(':').next().context("no port")?.parse()?;
        cluster.pids()
    };
    for depth in DEPTHS {
        for test in TESTS {
            let requests = match subject.synced && test == "SET" {
                true => options.synced_requests,
                false => options.requests,
            };
            let before = cpu_seconds(&pids);
            let [per_second, p50, p99] = benchmark(options, port, test, depth, requests)?;
            let cpu = (cpu_seconds(&pids) - before) * 1e6 / requests as f64;
            println!(
                "{:<28} {test:>4} {depth:>3} {per_second:>9.0} {p50:>8.3} {p99:>8.3} {cpu:>10.1}",
                subject.name
            );
            figures.entry((subject.name, test, depth)).or_default().push(per_second);
        }
    }
    Ok(())
}

fn start_redis(subject: &Subject, place: &std::path::Path) -> anyhow::Result<(Processes, u16)> {
    let port = ports::free();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(place);
    let child = command.args(subject.arguments).stdout(Stdio::null()).spawn();
    let processes = Processes(vec![child.context("cannot run redis-server: apt-get install redis-server")?]);
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < end, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((processes, port))
}

/// Requests a second, and the median and the 99th percentile of their latency in milliseconds.
fn benchmark(
    options: &Options,
    port: u16,
    test: &str,
    depth: u32,
    requests: u64,
) -> anyhow::Result<[f64; 3]> {
    let output = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-c", &options.clients.to_string(), "-d", "100", "-r", "1000000"])
        .args(["-n", &requests.to_string(), "-P", &depth.to_string(), "-t", &test.to_lowercase(), "--csv"])
        .output()
        .context("cannot run redis-benchmark: apt-get install redis-tools")?;
    let out = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "redis-benchmark: {out}{}", String::from_utf8_lossy(&output.stderr));
    // "test","rps","avg","min","p50","p95","p99","max"
    let line = out.lines().find(|line| line.starts_with(&format!("\"{test}\""))).context(out.to_string())?;
    let field = |place: usize| {
        let field = line.split(',').nth(place).context(line.to_string())?;
        anyhow::Ok(field.trim_matches('"').parse::<f64>()?)
    };
    Ok([field(1)?, field(4)?, field(6)?])
}
