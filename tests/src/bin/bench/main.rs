//! Measures what the framework costs above what it stands on, each beside its peer in one run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark fails by panicking")]

mod allocations;
mod cluster;
mod etcd;
mod get;
mod load;
mod peer;
mod processes;
mod redis;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Debug, Parser)]
#[command(about = "Measures the framework beside its peers; use a release build")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// `Node::get` at R=1 of hot values on LMDB beside a raw heed get.
    Get(get::Options),
    /// Three processes, N=3: quorum puts and gets beside bare tarpc and beside themselves with other stores.
    Cluster(cluster::Options),
    /// One and three nodes beside Redis, by redis-benchmark.
    Redis(redis::Options),
    /// One node of `cluster` (started by it).
    #[command(hide = true)]
    Node(cluster::NodeOptions),
    /// One node of bare tarpc (started by `cluster`).
    #[command(hide = true)]
    Peer(peer::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Get(options) => get::run(&options),
        What::Cluster(options) => cluster::run(&options),
        What::Redis(options) => redis::run(&options),
        What::Node(options) => cluster::node(&options),
        What::Peer(options) => peer::run(&options),
    }
}
