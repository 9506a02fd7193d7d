use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file that says how far something came, so that it can go on from there.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    path: PathBuf,
}

impl Saved {
    /// The file `<name>.progress`.
    pub(crate) fn beside(name: &Path) -> Self {
        let mut path = name.as_os_str().to_os_string();
        path.push(".progress");
        Saved { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved, if anything was.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, String> {
        let name = self.path.display();
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| format!("{name} does not say how far it came: {error}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {name}: {error}")),
        }
    }

    /// Saves it in place of what was saved before: a crash leaves the one or the other.
    pub(crate) fn write<T: Serialize>(&self, state: &T) -> Result<(), String> {
        let replace = || -> io::Result<()> {
            let mut beside = self.path.as_os_str().to_os_string();
            beside.push(".new");
            let mut file = File::create(&beside)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_data()?;
            fs::rename(&beside, &self.path)
        };
        replace().map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    /// There is nothing to go on with any more.
    pub(crate) fn remove(&self) -> Result<(), String> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("cannot remove {}: {error}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_is_read_and_rubbish_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let saved = Saved::beside(&directory.path().join("data.csv"));
        assert_eq!(saved.path().file_name().unwrap(), "data.csv.progress");
        assert_eq!(saved.read::<u64>(), Ok(None));
        saved.write(&1).unwrap();
        saved.write(&2).unwrap();
        assert_eq!(saved.read::<u64>(), Ok(Some(2)));
        fs::write(saved.path(), "{").unwrap();
        assert!(saved.read::<u64>().unwrap_err().contains("does not say how far"));
        saved.remove().unwrap();
        saved.remove().unwrap();
        assert_eq!(saved.read::<u64>(), Ok(None));
    }
}
