//! What runs that were killed have left on this machine.

use std::path::{Path, PathBuf};

use crate::nemesis::commands;

/// How everything that a run makes on the machine begins, with the id of its process behind it.
const PREFIX: &str = "kvn";

/// The name under which a run makes things, which no other that runs has. Short: names of interfaces have 15 letters at most.
pub fn name_of(process: u32) -> String {
    format!("{PREFIX}{process}")
}

/// The directory of the disks of a run.
pub fn directory_of(process: u32) -> PathBuf {
    std::env::temp_dir().join(name_of(process))
}

/// Removes namespaces, bridges and disks of runs whose process is gone.
pub fn remove() {
    let namespaces = commands::printed("ip", &["netns", "list"]);
    for name in namespaces.lines().filter_map(|line| line.split_whitespace().next()).filter(is_left) {
        commands::attempt("ip", &["netns", "delete", name]);
    }
    let links = commands::printed("ip", &["-oneline", "link", "show", "type", "bridge"]);
    let names = links.lines().filter_map(|line| line.split(": ").nth(1));
    for name in names.filter(is_left) {
        commands::attempt("ip", &["link", "delete", name]);
    }
    let directories = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for directory in directories.filter(|entry| is_left(&entry.file_name().to_str().unwrap_or_default())) {
        remove_disks(&directory.path());
    }
}

/// Unmounts what is mounted below a directory of disks, and removes it.
pub fn remove_disks(directory: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for mount in below.filter(|mount| Path::new(mount).starts_with(directory)) {
        if !commands::attempt("umount", &[mount]) {
            commands::attempt("umount", &["--lazy", mount]);
        }
    }
    let _ = std::fs::remove_dir_all(directory);
}

/// Whether a name is that of a run whose process is gone.
fn is_left(name: &&str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let process = rest.split('-').next().unwrap_or_default();
    process.parse::<u32>().is_ok_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_processes_that_are_gone_have_made_is_left() {
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let own = name_of(std::process::id());
        assert!(is_left(&&*name_of(gone.id())) && is_left(&&*format!("{}-3", name_of(gone.id()))));
        assert!(!is_left(&&*own) && !is_left(&"kvn") && !is_left(&"kvnet0") && !is_left(&"eth0"));
    }
}
