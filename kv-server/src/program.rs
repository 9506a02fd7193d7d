//! The two programs.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Flags};
use crate::console::{complain, in_words};
use crate::data_directory::DataDirectory;
use crate::dev::DevArguments;
use crate::exit::{Exit, SERVER_EXIT_CODES};
use crate::set_aside::CheckArguments;
use crate::{cli, dev, logging, server, set_aside};

/// A node of a replicated key-value store.
#[derive(Debug, Parser)]
#[command(name = "kv-server", version, after_help = SERVER_EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long, conflicts_with = "print_config")]
    check: bool,
    /// Print the configuration in effect and where each value comes from, and end
    #[arg(long)]
    print_config: bool,
    /// Stop when standard input ends: for a process that looks after this one
    #[arg(long, hide = true)]
    stop_at_end_of_input: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole cluster on this machine, to try things out
    Dev(DevArguments),
    /// Read through a store and say whether it is damaged
    #[command(hide = true)]
    CheckStore(CheckArguments),
}

/// The client.
pub fn client() -> ExitCode {
    cli::run(Arguments::command).into()
}

/// The server, or the client if the program was called by the name `kv`.
pub fn server_or_client() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_stem().is_some_and(|name| name == "kv") {
        return client();
    }
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(error) => cli::say_usage(&error),
    };
    exit.into()
}

fn run(arguments: Arguments) -> Exit {
    match arguments.command {
        Some(Command::Dev(dev)) => dev::run(&dev),
        Some(Command::CheckStore(store)) => set_aside::check(&store),
        None => node(&arguments),
    }
}

fn node(arguments: &Arguments) -> Exit {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let loaded = match config::load(&arguments.flags, environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(&problems.to_string());
            return Exit::Invalid;
        }
    };
    if arguments.check {
        // What can be seen without changing anything.
        return match DataDirectory::check(&loaded.config.data, loaded.config.creation) {
            Ok(()) => cli::print("ok\n"),
            Err(error) => {
                complain(&error.to_string());
                Exit::Invalid
            }
        };
    }
    if arguments.print_config {
        return cli::print(&loaded.to_string());
    }
    logging::start(loaded.config.log_format, &loaded.config.log_filter);
    match server::run(&loaded.config, arguments.stop_at_end_of_input) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("kv-server: {}", in_words(&error)));
            Exit::Failed
        }
    }
}
