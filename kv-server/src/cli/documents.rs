//! `kv completions` and `kv man`: what shells and people are told of the programs, made from their command lines.

use std::path::PathBuf;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::failure::Failure;
use super::session::Session;
use crate::console::say;
use crate::exit::Exit;

#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// The program whose commands are completed
    #[arg(long, value_name = "PROGRAM", default_value = "kv")]
    of: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    Kv,
    KvServer,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ManArguments {
    /// Write the pages of both programs and of every command into this directory, instead of printing that of kv
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments, session: &Session) -> Result<Exit, Failure> {
    let mut command = match arguments.of {
        Program::Kv => super::Arguments::command(),
        Program::KvServer => (session.server_command)(),
    };
    let (name, mut script) = (command.get_name().to_string(), Vec::new());
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    say(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(arguments: &ManArguments, session: &Session) -> Result<Exit, Failure> {
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(super::Arguments::command()).render(&mut page)?;
        say(&page)?;
        return Ok(Exit::Done);
    };
    let write = || {
        std::fs::create_dir_all(directory)?;
        clap_mangen::generate_to(super::Arguments::command(), directory)?;
        clap_mangen::generate_to((session.server_command)(), directory)
    };
    write().map_err(|error| Failure::other(format!("cannot write into {}: {error}", directory.display())))?;
    say(format!("the pages are in {}: man -l {0}/kv.1\n", directory.display()).as_bytes())?;
    Ok(Exit::Done)
}
