//! Thousands of clients that send one byte a second, beside one that works.

use clap::Parser;
use kv_tests::scenario::slow_clients::{self, SlowClients};

#[derive(Debug, Parser)]
#[command(about = "Thousands of clients of Redis that send one byte a second, beside one that works")]
struct Arguments {
    #[command(flatten)]
    options: SlowClients,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    slow_clients::run(&Arguments::parse().options).await
}
