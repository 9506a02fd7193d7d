use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;

use kv_core::error::{Error, ErrorKind};

use crate::errors::unusable_io;

const FORMAT_FILE: &str = "FORMAT";
const PREFIX: &str = "kv-storage lmdb ";

/// The format that this release writes, and the only one that it reads.
const VERSION: u32 = 1;

/// Reads the version of the store and says whether there is one.
///
/// # Errors
///
/// `IncompatibleFormat` if this release cannot read the store, `StorageUnusable` if the file cannot be read.
pub(super) fn check(directory: &Path) -> Result<bool, Error> {
    let path = directory.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable_io("cannot read", &path, error)),
    };
    let incompatible = |message| Err(Error::new(ErrorKind::IncompatibleFormat, message));
    match text.strip_prefix(PREFIX).and_then(|version| version.trim_end().parse::<u32>().ok()) {
        Some(VERSION) => Ok(true),
        Some(version) => incompatible(format!(
            "the store in {} has format {version}, this release reads format {VERSION}: use the release that wrote it or \
             a newer one",
            directory.display()
        )),
        None => incompatible(format!("{} does not name a format of this store", path.display())),
    }
}

/// Writes the version, whole or not at all: the store counts as made from then on.
pub(super) fn write(directory: &Path) -> Result<(), Error> {
    let unfinished = directory.join("FORMAT.new");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(format!("{PREFIX}{VERSION}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, directory.join(FORMAT_FILE))?;
        sync_directory(directory)
    };
    write().map_err(|error| unusable_io("cannot write", &unfinished, error))
}

/// Makes the names of a directory's files durable.
pub(super) fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}
