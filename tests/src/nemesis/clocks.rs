//! Clocks of the nodes' own: libfaketime reads from a file by how much each is off.

use std::path::{Path, PathBuf};

use anyhow::Context;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clocks of one run.
#[derive(Debug)]
pub struct Clocks {
    directory: PathBuf,
    library: PathBuf,
}

impl Clocks {
    /// Clocks that are right, with their files in `directory`.
    ///
    /// # Errors
    ///
    /// If libfaketime is missing.
    pub fn make(directory: &Path, count: usize) -> anyhow::Result<Self> {
        let library = library(LIBRARY).context("libfaketime is needed: apt-get install faketime")?;
        let clocks = Clocks { directory: directory.to_path_buf(), library };
        (0..count).try_for_each(|node| clocks.set(node, 0))?;
        Ok(clocks)
    }

    /// What the environment of a node has to say.
    pub fn environment(&self, node: usize) -> Vec<(String, String)> {
        let variables = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file(node).display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_string()),
            // Clocks that only count do not jump.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_string()),
            ("DONT_FAKE_MONOTONIC", "1".to_string()),
        ];
        variables.map(|(name, value)| (name.to_string(), value)).to_vec()
    }

    /// Sets the clock of a node so many seconds off; it notices within a second.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn set(&self, node: usize, seconds: i64) -> anyhow::Result<()> {
        let new = self.file(node).with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        std::fs::rename(&new, self.file(node)).context("the clock cannot be set")
    }

    fn file(&self, node: usize) -> PathBuf {
        self.directory.join(format!("clock-{}", node + 1))
    }
}

/// Where a library is, below the directories of this machine's architectures.
pub fn library(name: &str) -> Option<PathBuf> {
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    directories.map(|directory| directory.path().join(name)).find(|path| path.exists())
}
