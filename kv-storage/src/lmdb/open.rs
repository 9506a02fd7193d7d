use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, WithTls};
use kv_core::error::{Error, ErrorKind};

use super::errors::open_error;
use super::{Creation, LmdbOptions, format};
use crate::errors::{damaged, unusable, unusable_io};
use crate::lock::DirectoryLock;

const DATA_FILE: &str = "data.mdb";

/// Largest page of any platform: maps are a multiple of it.
const PAGE_BYTES_MAX: usize = 64 << 10;

pub(super) type Entries = Database<'static, Bytes, Bytes>;

/// An environment that is open and belongs to this process.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) env: Env<WithTls>,
    pub(super) entries: Entries,
    pub(super) lock: DirectoryLock,
}

/// Opens the store in `directory`, or makes it.
///
/// A store counts as made when its FORMAT file is there, which is written last: a directory without one holds nothing that
/// was ever acknowledged, and one whose data file went missing afterwards is noticed.
pub(super) fn open(directory: &Path, options: &LmdbOptions) -> Result<Opened, Error> {
    check_options(options)?;
    prepare_directory(directory, options.creation)?;
    let lock = DirectoryLock::take(directory)?;
    let is_made = format::check(directory)?;
    check_files(directory, is_made, options.creation)?;

    let env = open_env(directory, options)?;
    let entries = open_entries(&env).map_err(|error| open_error(directory, error))?;
    // A process that was killed may have left a commit in the page cache: nobody reads it before it is durable.
    env.force_sync().map_err(|error| open_error(directory, error))?;
    if !is_made {
        if env.info().last_txn_id != 0 {
            return Err(foreign(directory));
        }
        format::sync_directory(directory).map_err(|error| unusable_io("cannot sync", directory, error))?;
        format::write(directory)?;
    }
    Ok(Opened { env, entries, lock })
}

fn check_options(options: &LmdbOptions) -> Result<(), Error> {
    let bad = |message: &str| Err(Error::new(ErrorKind::InvalidConfiguration, message));
    if options.readers_max == 0 {
        return bad("readers_max must be at least 1");
    }
    if options.map_bytes < 1 << 20 || options.map_bytes > isize::MAX as usize - PAGE_BYTES_MAX {
        return bad("map_bytes must be at least 1 MiB and fit the address space");
    }
    Ok(())
}

/// Makes the directory where that is allowed.
fn prepare_directory(directory: &Path, creation: Creation) -> Result<(), Error> {
    let shown = directory.display();
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(unusable(format!("{shown} is not a directory"))),
        Err(error) if error.kind() == IoErrorKind::NotFound && creation == Creation::IfMissing => {
            make_directory(directory).map_err(|error| {
                let hint = "cannot make (its parent must exist: is the volume mounted?)";
                unusable_io(hint, directory, error)
            })
        }
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            Err(unusable(format!("there is no directory {shown}: is the volume mounted?")))
        }
        Err(error) => Err(unusable_io("cannot look at", directory, error)),
    }
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    fs::create_dir(directory)?;
    match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => format::sync_directory(Path::new(".")),
        Some(parent) => format::sync_directory(parent),
        None => Ok(()),
    }
}

fn check_files(directory: &Path, is_made: bool, creation: Creation) -> Result<(), Error> {
    let data = directory.join(DATA_FILE);
    let bytes = match fs::metadata(&data) {
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == IoErrorKind::NotFound => None,
        Err(error) => return Err(unusable_io("cannot look at", &data, error)),
    };
    let shown = directory.display();
    match (is_made, bytes) {
        // LMDB would take it for a new one.
        (true, Some(0)) => Err(damaged(format!("{DATA_FILE} in {shown} is damaged: it is empty"))),
        (true, None) => Err(unusable(format!("the store in {shown} has lost its {DATA_FILE}"))),
        (false, _) if creation == Creation::Never => {
            Err(unusable(format!("there is no store in {shown}: is the volume mounted?")))
        }
        _ => Ok(()),
    }
}

fn foreign(directory: &Path) -> Error {
    let shown = directory.display();
    unusable(format!("{DATA_FILE} in {shown} is not of this store: choose another directory"))
}

#[allow(unsafe_code)]
fn open_env(directory: &Path, options: &LmdbOptions) -> Result<Env<WithTls>, Error> {
    let mut builder = EnvOpenOptions::new();
    builder.map_size(options.map_bytes.next_multiple_of(PAGE_BYTES_MAX)).max_readers(options.readers_max);
    // SAFETY: the map is memory that the file backs, so nobody else may change the file. The directory's lock, which is
    // held for as long as the environment is open, keeps every other user of this crate out.
    let opened = unsafe { builder.open(directory) };
    opened.map_err(|error| open_error(directory, error))
}

/// The environment's unnamed database: named ones cost each read transaction one more look-up.
fn open_entries(env: &Env<WithTls>) -> Result<Entries, heed::Error> {
    let txn = env.read_txn()?;
    let opened = env.open_databases_and_commit(txn, |opener, txn| {
        opener.open_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    // The unnamed database always exists and nothing here aborts.
    opened.commit().flatten().ok_or(heed::Error::Mdb(heed::MdbError::BadDbi))
}
