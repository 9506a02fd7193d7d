//! Injects faults into kv-server processes that are used, and judges what their clients saw.

use clap::Parser;
use kv_tests::nemesis::command::{self, Nemesis};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(about = "Injects faults into kv-server processes that are used, and judges what their clients saw")]
struct Arguments {
    #[command(flatten)]
    options: Nemesis,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut terminated = signal(SignalKind::terminate())?;
    // Everything that was made on this machine goes when the run is dropped.
    tokio::select! {
        done = command::run(&arguments.options) => done,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminated.recv() => anyhow::bail!("terminated"),
    }
}
