use std::env;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::engine::Engine;
use crate::writer::{DIRECTORY, END, FIRST};

/// Makes `command` the writing process for the batches from `first` to before `end`; `command` may be a tracer that takes
/// the program behind its own arguments.
pub(crate) fn writing(
    engine: Engine,
    mut command: Command,
    directory: &Path,
    first: usize,
    end: usize,
) -> Command {
    let (variable, value) = engine.env();
    command
        .args(["--exact", "writer::writes_batches_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(variable, value)
        .env(FIRST, first.to_string())
        .env(END, end.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// This executable.
pub(crate) fn program() -> std::path::PathBuf {
    env::current_exe().expect("the path of the test executable")
}

/// The lines of the writing process that begin with `word`, as numbers of batches.
pub(crate) fn said(output: &Output, word: &str) -> Vec<usize> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}
