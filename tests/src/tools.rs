//! Programs of others that tests use.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::executable;

/// Longest that such a program may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub complaints: String,
}

/// Runs a program with `input` at its standard input.
///
/// # Errors
///
/// If it cannot be run, or does not end.
pub async fn run(program: &str, arguments: &[&str], input: &[u8]) -> anyhow::Result<Outcome> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("cannot run {program}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    // It may end before it has read everything.
    let feed = async move { stdin.write_all(input).await.ok() };
    let both = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(PATIENCE, both).await;
    let output = output.with_context(|| format!("{program} {arguments:?} does not end"))??;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Outcome { code: output.status.code(), out: text(output.stdout), complaints: text(output.stderr) })
}

/// Whether a program that a test needs is missing. Says so by its name, and fails where nothing may be left out.
pub async fn is_missing(program: &str, arguments: &[&str], packages: &str) -> bool {
    if run(program, arguments, b"").await.is_ok_and(|outcome| outcome.code == Some(0)) {
        return false;
    }
    let message = format!("not run: {program} {arguments:?} does not work: apt-get install {packages}");
    assert!(std::env::var_os("KV_FULL_TESTS").is_none(), "{message}");
    eprintln!("{message}");
    true
}

/// Python with one package of that version, in a virtual environment in the target directory: made if it is not there from the last time.
///
/// # Errors
///
/// If it cannot be made; says what is needed.
pub async fn python_with(package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let directory = executable::target()?.join(format!("python-{package}-{version}"));
    let python = directory.join("bin/python");
    let path = python.to_str().context("the target directory has no name in Unicode")?;
    let shown = format!("import {package}; assert {package}.__version__ == '{version}'");
    if run(path, &["-c", &shown], b"").await.is_ok_and(|outcome| outcome.code == Some(0)) {
        return Ok(python);
    }
    let made = run("python3", &["-m", "venv", "--clear", &directory.to_string_lossy()], b"").await?;
    ensure!(made.code == Some(0), "no virtual environment: apt-get install python3-venv; {made:?}");
    let wanted = format!("{package}=={version}");
    let installed = run(path, &["-m", "pip", "install", "--quiet", &wanted], b"").await?;
    let hint = "pip needs the network, or the package in a directory that PIP_FIND_LINKS names";
    ensure!(installed.code == Some(0), "pip cannot install {wanted}: {hint}; {}", installed.complaints);
    Ok(python)
}
