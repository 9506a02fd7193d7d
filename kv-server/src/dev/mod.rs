//! `kv-server dev`: a whole cluster on this machine, each node a process of its own.

mod cluster_file;
mod plan;

mod client_program;
mod readiness;
mod welcome;

mod node_process;
mod supervisor;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use tracing_subscriber::EnvFilter;

use self::plan::{NODES_MAX, Plan};
use self::supervisor::supervise;
use crate::console::{complain, in_words};
use crate::exit::Exit;
use crate::runtime;

/// What a local cluster is like.
#[derive(Debug, Clone, Args)]
pub(crate) struct DevArguments {
    /// Number of nodes, 1 to 16 [default: as many as the data is of, or 3]
    #[arg(long, value_name = "NUMBER", value_parser = nodes)]
    nodes: Option<usize>,
    /// The directory in which the nodes keep their data
    #[arg(long, value_name = "DIR", default_value = "kv-data")]
    data: PathBuf,
    /// Port of the first node; the others have 10 more each, and the port after each is its admin port. 0: any that are free
    /// [default: those of the data, or 7380]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Keep values in memory: they are gone when the nodes are
    #[arg(long)]
    memory: bool,
    /// Leave a node that ended as it is
    #[arg(long)]
    no_restart: bool,
    /// Which events the nodes log
    #[arg(long, value_name = "FILTER", default_value = "info,tarpc=warn", value_parser = filter)]
    log: String,
}

fn nodes(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=NODES_MAX).contains(count));
    count.ok_or_else(|| format!("must be 1 to {NODES_MAX}"))
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_string()).map_err(|error| format!("is not a filter: {error}"))
}

/// Runs a cluster until it is asked to stop.
pub(crate) fn run(arguments: &DevArguments) -> Exit {
    match start(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format!("kv-server dev: {}", in_words(&error)));
            Exit::Failed
        }
    }
}

fn start(arguments: &DevArguments) -> Result<Exit> {
    let plan = Plan::make(arguments)?;
    let runtime = runtime::current_thread().context("cannot start a runtime")?;
    runtime.block_on(supervise(plan))
}
