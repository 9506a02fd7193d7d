//! What is in the repository.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A path as people name it.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The packages of the workspace.
fn packages() -> Vec<PathBuf> {
    let mut packages: Vec<PathBuf> =
        entries(root()).into_iter().filter(|path| path.join("Cargo.toml").exists()).collect();
    packages.sort();
    assert!(packages.len() >= 4, "only {packages:?} were found");
    packages
}

/// The folders with a `lib.rs` or `main.rs` that is the root of a crate.
pub(crate) fn crates() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for package in packages() {
        roots.push(package.join("src"));
        roots.extend(entries(&package.join("src/bin")));
    }
    roots.retain(|root| root.join("lib.rs").exists() || root.join("main.rs").exists());
    roots
}

/// The Rust files of all packages.
pub(crate) fn sources() -> Vec<PathBuf> {
    packages().iter().flat_map(|package| below(package, "rs")).collect()
}

/// The Markdown files, those at the top and in `docs`.
pub(crate) fn texts() -> Vec<PathBuf> {
    let top = entries(root()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    top.chain(below(&root().join("docs"), "md")).collect()
}

/// The files in and below a folder with that ending, in a fixed order.
pub(crate) fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            if !path.ends_with("target") {
                files.extend(below(&path, ending));
            }
        } else if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
