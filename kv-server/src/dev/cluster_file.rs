//! What a local cluster has to be the next time: its number of nodes and their ports, which its layout names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "cluster.json";

/// The ports of each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClusterFile {
    pub(super) nodes: Vec<Ports>,
}

/// The ports of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    /// For peers and clients.
    pub(super) listen: u16,
    /// For the admin interface.
    pub(super) admin: u16,
}

impl ClusterFile {
    /// What was written before, if anything was.
    pub(super) fn read(data: &Path) -> Result<Option<Self>> {
        let path = path(data);
        match fs::read(&path) {
            Ok(text) => {
                let damaged =
                    || format!("{} is damaged: remove it and say --nodes and --port", path.display());
                serde_json::from_slice(&text).map(Some).with_context(damaged)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, data: &Path) -> Result<()> {
        let path = path(data);
        let unfinished = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &path))
            .with_context(|| format!("cannot write {}: choose another directory with --data", path.display()))
    }
}

fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}
