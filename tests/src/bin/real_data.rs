//! Puts the Unihan database into three kv-server processes, of which one is killed meanwhile, and reads it back.

use clap::Parser;
use kv_tests::scenario::real_data::{self, RealData};

#[derive(Debug, Parser)]
#[command(
    about = "Puts the Unihan database into three kv-server processes, of which one is killed meanwhile, and reads it back"
)]
struct Arguments {
    #[command(flatten)]
    options: RealData,
}

// One thread: processes are killed when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    real_data::run(&Arguments::parse().options).await.map(drop)
}
