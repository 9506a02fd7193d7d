//! Kills one of three kv-server processes under load, and looks whether reading brings it up to date.

use clap::Parser;
use kv_tests::scenario::one_node_killed::{self, OneNodeKilled};

#[derive(Debug, Parser)]
#[command(
    about = "Kills one of three kv-server processes under load, and looks whether reading brings it up to date"
)]
struct Arguments {
    #[command(flatten)]
    options: OneNodeKilled,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    one_node_killed::run(&Arguments::parse().options).await.map(drop)
}
