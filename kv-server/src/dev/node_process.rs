//! One node as a child process.
//!
//! It stops when its standard input ends: when this process lets go of the pipe, and when this process ends, however it does. So no
//! node is left behind.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use kv_core::ids::NodeId;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::plan::{NodePlan, Plan};
use crate::console::complain;

/// What a node gets for finishing requests.
const DRAIN: &str = "drain=3s";

/// When a node that does not end by itself is killed.
const PATIENCE: Duration = Duration::from_secs(8);

/// Longest piece of a line that is passed on as one.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A node that runs.
#[derive(Debug)]
pub(super) struct NodeProcess {
    child: Child,
    input: Option<ChildStdin>,
}

impl NodeProcess {
    /// Starts `program` as that node of the plan.
    pub(super) fn start(program: &Path, plan: &Plan, node: &NodePlan) -> Result<Self> {
        let mut command = Command::new(program);
        // Settings for a server of one's own are not meant for these.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KV_")) {
            command.env_remove(name);
        }
        command
            .args(["--node", &node.id.to_string(), "--listen", &node.listen, "--admin", &node.admin])
            .args(["--resp", &node.resp])
            .arg("--data")
            .arg(&node.data)
            .args(["--engine", if plan.memory { "memory" } else { "lmdb" }, "--log", &plan.log])
            .args(["--set", DRAIN, "--set", &format!("cluster.replicas={}", plan.replicas)])
            .args(
                plan.nodes
                    .iter()
                    .flat_map(|member| ["--member".into(), format!("{}={}", member.id, member.listen)]),
            )
            .arg("--stop-at-end-of-input")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to this process alone, which stops the nodes in its own way.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(pass_on(node.id, output));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(pass_on(node.id, output));
        }
        Ok(NodeProcess { input: child.stdin.take(), child })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop, waits, kills it if that does not help, and says whether it ended in good order.
    pub(super) async fn stop(mut self) -> bool {
        drop(self.input.take());
        if let Ok(Ok(status)) = tokio::time::timeout(PATIENCE, self.child.wait()).await {
            return status.success();
        }
        let _ = self.child.kill().await;
        false
    }
}

/// The program that this process runs, for starting it again.
pub(super) fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell which program this is")
}

/// Copies lines to standard error, each behind the name of its node.
async fn pass_on(node: NodeId, output: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut piece = (&mut reader).take(LINE_BYTES_MAX);
        if !matches!(piece.read_until(b'\n', &mut line).await, Ok(count) if count > 0) {
            return;
        }
        complain(&format!("node {node} | {}", String::from_utf8_lossy(&line).trim_end()));
    }
}
