use std::path::Path;

use heed::{Error as HeedError, MdbError};
use kv_core::error::{Error, ErrorKind};
use kv_core::storage::StorageError;

use crate::errors::{damaged, unusable, unusable_io};

/// Why LMDB did not open the store in `directory`.
pub(super) fn open_error(directory: &Path, error: HeedError) -> Error {
    let shown = directory.display();
    match error {
        HeedError::Io(error) if error.raw_os_error() == Some(libc::ENOMEM) => unusable(format!(
            "no address space for the map of {shown}: lower map_bytes or raise the limit (ulimit -v)"
        ))
        .with_source(error),
        HeedError::Io(error) => unusable_io("cannot open the store in", directory, error),
        HeedError::Mdb(MdbError::VersionMismatch) => Error::new(
            ErrorKind::IncompatibleFormat,
            format!("data.mdb in {shown} was written by another version of LMDB"),
        ),
        HeedError::Mdb(error @ (MdbError::Invalid | MdbError::Corrupted | MdbError::PageNotFound)) => {
            damaged(format!("data.mdb in {shown} is damaged or not of LMDB")).with_source(error)
        }
        error => unusable(format!("cannot open the store in {shown}")).with_source(error),
    }
}

/// A failure to read.
pub(super) fn read_error(operation: &'static str, error: HeedError) -> StorageError {
    if let HeedError::Mdb(MdbError::ReadersFull) = error {
        return StorageError::new(operation, "more threads read than readers_max allows: raise it");
    }
    StorageError::from_source(operation, error)
}

/// Whether a transaction that ended with `error`, at whichever step, has left the store as it was and fit for the next one.
///
/// True only for what is listed here: want of room. `LmdbStorage` says why, under "When a commit fails".
pub(super) fn leaves_store_clean(error: &HeedError) -> bool {
    match error {
        HeedError::Mdb(MdbError::MapFull | MdbError::TxnFull | MdbError::BadValSize) => true,
        HeedError::Io(error) => {
            matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::ENOMEM))
        }
        _ => false,
    }
}
