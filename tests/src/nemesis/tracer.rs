//! A disk that reports errors: strace between a node and the kernel.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::process::{Child, Command};

/// The calls that make data durable, and that of LMDB's meta page.
const CALLS: &str = "fsync,fdatasync,msync,sync_file_range,pwrite64,pwritev,pwritev2";
/// How long attaching may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An strace that is attached to a process; it lets go when this is dropped.
#[derive(Debug)]
pub struct Tracer {
    strace: Child,
}

impl Tracer {
    /// Lets those calls of a process fail with EIO from the `first`-th of each thread on.
    ///
    /// # Errors
    ///
    /// If strace is missing or may not attach.
    pub async fn attach(process: u32, first: u32) -> anyhow::Result<Self> {
        let mut command = Command::new("strace");
        let inject = format!("inject={CALLS}:error=EIO:when={first}+");
        let trace = format!("trace={CALLS}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
        command.args(["-p", &process.to_string()]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut strace = command.spawn().context("strace is needed: apt-get install strace")?;
        let end = Instant::now() + PATIENCE;
        while !is_traced(process) {
            if let Some(status) = strace.try_wait()? {
                anyhow::bail!("strace may not attach: {status}");
            }
            ensure!(Instant::now() < end, "strace does not attach");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Tracer { strace })
    }

    /// Lets go of the process.
    pub async fn detach(mut self) {
        let _ = self.strace.kill().await;
    }
}

fn is_traced(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}
