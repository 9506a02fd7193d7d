//! Thousands of clients of Redis that announce a large value and send one byte of it a second, and one that works: it is served, and memory stays
//! bounded.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::Cluster;

/// Most that a slow connection may cost the server.
const BYTES_PER_CONNECTION: u64 = 16 << 10;

/// What a slow connection sends at once. Room for the value must not be taken before it comes.
const ANNOUNCEMENT: &[u8] = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$1000000\r\n";

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct SlowClients {
    /// Connections that send one byte a second.
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Seconds for which they do.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
}

/// Runs it and prints what the connections cost.
///
/// # Errors
///
/// If the client that works fails, or a connection costs too much.
pub async fn run(options: &SlowClients) -> anyhow::Result<()> {
    let cluster = Cluster::start(1, &[]).await?;
    let found: serde_json::Value =
        serde_json::from_slice(&std::fs::read(cluster.data(0).join("addresses.json"))?)?;
    let address = cluster.resp(0)?;
    let pid = found["pid"].as_u64().context("the node has no process id")?;
    let before = resident_bytes(pid)?;
    let mut slow = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let connected = TcpStream::connect(&address).await;
        let mut connection = connected.context("too few files may be open: see ulimit -n")?;
        connection.write_all(ANNOUNCEMENT).await?;
        slow.push(connection);
    }
    let mut client = TcpStream::connect(&address).await?;
    let mut latencies = Histogram::<u64>::new(3)?;
    let mut most = before;
    for _ in 0..options.seconds {
        let next = Instant::now() + Duration::from_secs(1);
        for connection in &mut slow {
            connection.write_all(b"v").await?;
            if latencies.len() < 1_000_000 {
                let begun = Instant::now();
                ask(&mut client, "SET k v", "+OK\r\n").await?;
                ask(&mut client, "GET k", "$1\r\nv\r\n").await?;
                latencies.record(begun.elapsed().as_micros() as u64)?;
            }
        }
        most = most.max(resident_bytes(pid)?);
        tokio::time::sleep_until(next.into()).await;
    }
    let each = (most - before) / options.connections as u64;
    println!(
        "{} slow connections: {} MiB resident before, {} MiB at most, {each} bytes each; a SET and a GET beside them: {} times, p50 {} us, p99 {} us, largest {} us",
        options.connections,
        before >> 20,
        most >> 20,
        latencies.len(),
        latencies.value_at_quantile(0.5),
        latencies.value_at_quantile(0.99),
        latencies.max()
    );
    ensure!(
        each <= BYTES_PER_CONNECTION,
        "a slow connection costs {each} bytes, {BYTES_PER_CONNECTION} are allowed"
    );
    cluster.check_logs()
}

async fn ask(client: &mut TcpStream, command: &str, expected: &str) -> anyhow::Result<()> {
    client.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut reply = vec![0; expected.len()];
    tokio::time::timeout(Duration::from_secs(10), client.read_exact(&mut reply)).await??;
    ensure!(reply == expected.as_bytes(), "{command} was answered with {}", String::from_utf8_lossy(&reply));
    Ok(())
}

/// Memory of a process that is in use.
fn resident_bytes(pid: u64) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes << 10)
}
