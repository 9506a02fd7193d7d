//! The directory in which a node keeps its data: `store/`, and `addresses.json` for whoever wants to find the node.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::replica::Membership;
use kv_storage::Creation;
use serde::{Deserialize, Serialize};

const ADDRESSES: &str = "addresses.json";
const MEMBERSHIP: &str = "membership";
const STARTING: &str = "starting";

/// Says that a process opened the store and has not been up for long; removed when dropped. A process that is killed by what it reads leaves it
/// behind.
#[derive(Debug)]
pub(crate) struct StartMark(PathBuf);

impl StartMark {
    /// Leaves the mark behind, so that the next process looks at the store first.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for StartMark {
    fn drop(&mut self) {
        // If it stays, the next start looks at the store for nothing.
        let _ = fs::remove_file(&self.0);
    }
}

/// A data directory that exists.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory {
    path: PathBuf,
}

/// Where a node that runs can be found: with port 0 in its configuration the operating system chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// The node.
    pub(crate) node: NodeId,
    /// Its process.
    pub(crate) pid: u32,
    /// Where peers and clients reach it.
    pub(crate) listen: String,
    /// Its admin interface, if it has one.
    pub(crate) admin: Option<String>,
    /// Its front door for clients of Redis, if it has one.
    pub(crate) resp: Option<String>,
}

impl DataDirectory {
    /// Makes the directory where that is allowed, but not its parent: a volume that is not mounted is an error.
    pub(crate) fn prepare(path: &Path, creation: Creation) -> Result<Self, Error> {
        let shown = path.display();
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(unusable(format!("{shown} is not a directory: choose another with --data"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && creation == Creation::IfMissing => {
                fs::create_dir(path).map_err(|error| cannot_make(path, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!(
                    "there is no directory {shown}, and storage.create = \"never\": is the volume mounted?"
                );
                return Err(unusable(what));
            }
            Err(error) => return Err(unusable(format!("cannot look at {shown}")).with_source(error)),
        }
        Ok(DataDirectory { path: path.to_path_buf() })
    }

    /// Says whether the directory is there or could be made, and changes nothing.
    pub(crate) fn check(path: &Path, creation: Creation) -> Result<(), Error> {
        if path.exists() {
            return DataDirectory::prepare(path, creation).map(|_| ());
        }
        if creation != Creation::IfMissing {
            // Refuses, and makes nothing.
            return DataDirectory::prepare(path, Creation::Never).map(|_| ());
        }
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) if !parent.is_dir() => Err(cannot_make(path, io::ErrorKind::NotFound.into())),
            _ => Ok(()),
        }
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where a new store is made, to be put into the place of one that is set aside.
    fn new_store(&self) -> PathBuf {
        self.path.join("store.new")
    }

    /// Whether a process left its mark behind.
    pub(crate) fn has_start_mark(&self) -> bool {
        self.path.join(STARTING).exists()
    }

    /// Marks that the store is being opened.
    pub(crate) fn mark_start(&self) -> StartMark {
        let path = self.path.join(STARTING);
        if let Err(error) = File::create(&path) {
            tracing::debug!(%error, "the start cannot be marked");
        }
        StartMark(path)
    }

    /// The copy of what the node knows of its cluster, if there is one.
    pub(crate) fn read_membership(&self) -> Result<Option<Membership>, Error> {
        let path = self.path.join(MEMBERSHIP);
        match fs::read(&path) {
            Ok(bytes) => Membership::decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(format!("cannot read {}", path.display())).with_source(error)),
        }
    }

    /// Writes that copy, whole or not at all. It has the cluster's secret in it.
    pub(crate) fn write_membership(&self, membership: &Membership) -> Result<(), Error> {
        let (path, unfinished) = (self.path.join(MEMBERSHIP), self.path.join("membership.new"));
        let write = || {
            let mut file =
                File::options().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
            file.write_all(&membership.encode())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            self.sync()
        };
        write().map_err(|error| unusable(format!("cannot write {}", path.display())).with_source(error))
    }

    /// An empty place in which a new store can be made.
    pub(crate) fn prepare_new_store(&self) -> Result<PathBuf, Error> {
        let fresh = self.new_store();
        match fs::remove_dir_all(&fresh) {
            // What was begun and not finished.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unusable(format!("cannot remove {}", fresh.display())).with_source(error))
            }
            _ => Ok(fresh),
        }
    }

    /// Puts the new store into the place of the present one, which stays beside it under a name with the time. Returns that.
    pub(crate) fn set_store_aside(&self) -> Result<PathBuf, Error> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let aside = self.path.join(format!("store.set-aside-{}", time.replace(['-', ':'], "")));
        let rename = || {
            fs::rename(self.store(), &aside)?;
            fs::rename(self.new_store(), self.store())?;
            self.sync()
        };
        let failed = |error| unusable(format!("cannot rename to {}", aside.display())).with_source(error);
        rename().map_err(failed)?;
        Ok(aside)
    }

    /// Goes on where a process ended between the two renamings.
    pub(crate) fn finish_setting_aside(&self) -> Result<(), Error> {
        if self.store().exists() || !self.new_store().exists() {
            return Ok(());
        }
        tracing::warn!("the damaged store was set aside by the process before this one");
        fs::rename(self.new_store(), self.store()).and_then(|()| self.sync()).map_err(|error| {
            unusable(format!("cannot rename {}", self.new_store().display())).with_source(error)
        })
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Writes down where the node can be found, whole or not at all.
    pub(crate) fn write_addresses(&self, addresses: &Addresses) -> Result<(), Error> {
        let path = self.path.join(ADDRESSES);
        let unfinished = self.path.join("addresses.json.new");
        let written = serde_json::to_vec_pretty(addresses)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&unfinished, text))
            .and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    ": give this user the right to, or choose another directory with --data"
                }
                io::ErrorKind::ReadOnlyFilesystem => ": the volume is mounted read-only",
                io::ErrorKind::StorageFull => ": make room on the volume",
                _ => "",
            };
            unusable(format!("cannot write {}{hint}", path.display())).with_source(error)
        })
    }
}

fn cannot_make(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let what = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "cannot make the data directory {shown}: {} does not exist. Is the volume mounted?",
            parent.display()
        ),
        io::ErrorKind::PermissionDenied => {
            format!("cannot make the data directory {shown}: this user may not write to {}", parent.display())
        }
        _ => format!("cannot make the data directory {shown}"),
    };
    unusable(what).with_source(error)
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::StorageUnusable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_but_not_its_parent() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let missing = DataDirectory::prepare(&path, Creation::Never).unwrap_err();
        assert!(missing.message().contains("is the volume mounted?"), "{missing}");
        DataDirectory::prepare(&path, Creation::IfMissing).unwrap();
        DataDirectory::prepare(&path, Creation::Never).unwrap();

        let far = DataDirectory::prepare(&parent.path().join("a/b"), Creation::IfMissing).unwrap_err();
        assert!(far.message().contains("/a does not exist. Is the volume mounted?"), "{far}");
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let file = DataDirectory::prepare(&file, Creation::IfMissing).unwrap_err();
        assert!(file.message().contains("is not a directory"), "{file}");
    }
}
