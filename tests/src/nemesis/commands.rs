//! Programs of the machine that make and mend faults.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::tools;

/// Runs a program with `input` at its standard input, and returns what it printed.
///
/// # Errors
///
/// If it is missing or says that it failed; the error has what it complained of.
pub async fn run(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let outcome = tools::run(program, arguments, input.as_bytes()).await;
    let outcome = outcome.with_context(|| format!("{program} is needed: {}", package(program)))?;
    ensure!(
        outcome.code == Some(0),
        "{program} {} failed: {}{}",
        arguments.join(" "),
        outcome.complaints.trim(),
        outcome.out.trim()
    );
    Ok(outcome.out)
}

/// Runs a program and waits for it, whatever becomes of it: for clearing away.
pub fn attempt(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a program prints, or nothing if it fails.
pub fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn package(program: &str) -> String {
    let package = match program {
        "ip" | "tc" => "iproute2",
        "nft" => "nftables",
        "mkfs.ext4" => "e2fsprogs",
        "mount" | "umount" | "losetup" => "mount",
        other => other,
    };
    format!("apt-get install {package}")
}
