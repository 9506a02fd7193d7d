//! Random streams for the front door for clients of Redis.

use clap::Parser;
use kv_tests::held::Counting;
use kv_tests::scenario::resp_fuzz::{self, RespFuzz};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Parser)]
#[command(about = "Random and changed streams for the front door for clients of Redis, cut at random places")]
struct Arguments {
    #[command(flatten)]
    options: RespFuzz,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    resp_fuzz::run(&Arguments::parse().options).await.map(drop)
}
