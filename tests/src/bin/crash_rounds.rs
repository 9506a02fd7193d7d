//! Kills three kv-server processes at once, again and again, and looks whether all that was acknowledged is there.

use clap::Parser;
use kv_tests::scenario::crash_rounds::{self, CrashRounds};

#[derive(Debug, Parser)]
#[command(
    about = "Kills three kv-server processes at once, again and again, and looks whether all that was acknowledged is there"
)]
struct Arguments {
    #[command(flatten)]
    options: CrashRounds,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    crash_rounds::run(&Arguments::parse().options).await.map(drop)
}
