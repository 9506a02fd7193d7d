//! `kv`, the command-line client: one file per command.

mod arguments;

mod failure;
mod output;
mod session;

mod describe;

mod bench;
mod bucket;
mod cluster;
mod delete;
mod documents;
mod expire;
mod explain;
mod export;
mod get;
mod import;
mod put;
mod repair;
mod ring;
mod scan;
mod shell;
mod status;
mod verify;

use clap::{Parser, Subcommand};

use self::failure::Failure;
use self::output::Output;
pub(crate) use self::session::SERVERS_DEFAULT;
use self::session::{Connection, Session};
use crate::console;
use crate::exit::{EXIT_CODES, Exit};
use crate::runtime;

/// The client of a replicated key-value store.
#[derive(Debug, Parser)]
#[command(name = "kv", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the value of a key
    Get(get::Arguments),
    /// Store a value under a key, in place of what is there
    Put(put::Arguments),
    /// Delete a key
    Delete(delete::Arguments),
    /// Change when the value of a key expires
    Expire(expire::Arguments),
    /// Say who answered with what for a key, and why the answer is what it is
    Explain(explain::Arguments),
    /// Print the keys of a bucket
    Scan(scan::Arguments),
    /// Write a bucket into a file, as JSON lines or CSV
    Export(export::Arguments),
    /// Write what is in a file, or in a Redis, into a bucket
    Import(Box<import::Arguments>),
    /// Show how each member of the cluster is
    Status(status::Arguments),
    /// Compare what members hold with each other now, and repair what differs
    Repair(repair::Arguments),
    /// Look at every record of members: checksums, and the digests by which members compare
    Verify(verify::Arguments),
    /// Show who owns how much, or who owns a key
    Ring(ring::Arguments),
    /// Create, list, show, change and delete buckets
    #[command(subcommand)]
    Bucket(bucket::Command),
    /// Make a cluster
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Measure the cluster under load
    Bench(Box<bench::Arguments>),
    /// Read commands line by line
    Shell,
    /// Print what a shell needs to complete commands
    Completions(documents::CompletionsArguments),
    /// Print or write manual pages
    Man(documents::ManArguments),
}

/// Runs the client on the arguments of the process. The command line of the server is documented with it.
pub(crate) fn run(server: fn() -> clap::Command) -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return say_usage(&error),
    };
    let mut output = Output::new(arguments.connection.json);
    let ended = match runtime::current_thread() {
        Ok(runtime) => {
            let ended = runtime.block_on(execute(arguments, server, &mut output));
            // Whoever reads from a terminal or a Redis that says nothing is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::other(format!("cannot start a runtime: {error}"))),
    };
    ended.unwrap_or_else(|failure| failure.report(&mut output))
}

async fn execute(
    arguments: Arguments,
    server: fn() -> clap::Command,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let session = Session::open(&arguments.connection, server)?;
    let ended = dispatch(arguments.command, &session, output).await;
    session.client.shut_down().await;
    ended
}

async fn dispatch(command: Command, session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Get(get) => get::run(&get, session, output).await,
        Command::Put(put) => put::run(&put, session, output).await,
        Command::Delete(delete) => delete::run(&delete, session, output).await,
        Command::Expire(expire) => expire::run(&expire, session, output).await,
        Command::Explain(explain) => explain::run(&explain, session, output).await,
        Command::Scan(scan) => scan::run(&scan, session, output).await,
        Command::Export(export) => export::run(&export, session, output).await,
        Command::Import(import) => import::run(&import, session, output).await,
        Command::Status(status) => status::run(&status, session, output).await,
        Command::Repair(repair) => repair::run(&repair, session, output).await,
        Command::Verify(verify) => verify::run(&verify, session, output).await,
        Command::Ring(ring) => ring::run(&ring, session, output).await,
        Command::Bucket(bucket) => bucket::run(&bucket, session, output).await,
        Command::Cluster(cluster) => cluster::run(&cluster, session, output).await,
        Command::Bench(bench) => bench::run(&bench, session, output).await,
        Command::Shell => shell::run(session, output).await,
        Command::Completions(completions) => documents::completions(&completions, session),
        Command::Man(man) => documents::man(&man, session),
    }
}

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn say_usage(error: &clap::Error) -> Exit {
    // Nobody is left to be told of a broken pipe.
    let _ = error.print();
    if error.use_stderr() { Exit::Invalid } else { Exit::Done }
}

/// Prints text on standard output.
pub(crate) fn print(text: &str) -> Exit {
    match console::say(text.as_bytes()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}
