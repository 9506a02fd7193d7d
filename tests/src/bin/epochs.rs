//! Random walks over the model of the rule by which stores drop what is deleted.

use clap::Parser;
use kv_tests::epochs::command::{self, Epochs};

#[derive(Debug, Parser)]
#[command(about = "Random walks over the model of the rule by which stores drop what is deleted")]
struct Arguments {
    #[command(flatten)]
    options: Epochs,
}

fn main() -> anyhow::Result<()> {
    command::run(&Arguments::parse().options)
}
