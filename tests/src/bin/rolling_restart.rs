//! Restarts each of three kv-server processes in turn under load; no operation may fail.

use clap::Parser;
use kv_tests::scenario::rolling_restart::{self, RollingRestart};

#[derive(Debug, Parser)]
#[command(about = "Restarts each of three kv-server processes in turn under load; no operation may fail")]
struct Arguments {
    #[command(flatten)]
    options: RollingRestart,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    rolling_restart::run(&Arguments::parse().options).await.map(drop)
}
