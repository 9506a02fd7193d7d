//! Random pipelines for the front door for clients of Redis.

use clap::Parser;
use kv_tests::scenario::resp_pipelines::{self, RespPipelines};

#[derive(Debug, Parser)]
#[command(about = "Random pipelines for the front door for clients of Redis, checked against a map")]
struct Arguments {
    #[command(flatten)]
    options: RespPipelines,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    resp_pipelines::run(&Arguments::parse().options).await.map(drop)
}
