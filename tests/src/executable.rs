//! The executable of `kv-server`, as the sources are now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

/// Where `kv-server` is; built first, in the profile and the target directory of this program, so that no outdated one is tested.
///
/// # Errors
///
/// If it cannot be built.
pub fn kv_server() -> anyhow::Result<&'static Path> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PATH.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The directory with the programs of the profile in which this one was built.
fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().context("this program lies nowhere")?;
    // A test lies in `deps`, a program above it.
    let directory = if directory.ends_with("deps") { directory.parent().unwrap() } else { directory };
    Ok(directory.to_path_buf())
}

/// The target directory, in which what tests make may lie until the next time.
///
/// # Errors
///
/// If this program lies in none.
pub fn target() -> anyhow::Result<PathBuf> {
    Ok(programs()?.parent().context("no target directory")?.to_path_buf())
}

fn build() -> anyhow::Result<PathBuf> {
    let (directory, target) = (programs()?, target()?);
    let profile = directory.file_name().and_then(|name| name.to_str()).context("no profile")?;
    let profile = if profile == "debug" { "dev" } else { profile };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("building kv-server ({profile})");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "kv-server", "--bin", "kv-server", "--profile", profile])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot run cargo: run this in the source tree")?;
    ensure!(status.success(), "kv-server does not build: {status}");
    let program = directory.join("kv-server");
    ensure!(program.is_file(), "cargo built kv-server, but it is not at {}", program.display());
    Ok(program)
}
