use std::io;
use std::path::Path;

use kv_core::error::{Error, ErrorKind};

pub(crate) fn unusable(message: String) -> Error {
    Error::new(ErrorKind::StorageUnusable, message)
}

pub(crate) fn damaged(message: String) -> Error {
    Error::new(ErrorKind::StorageDamaged, message)
}

/// `StorageUnusable` for what the operating system said about `path`.
pub(crate) fn unusable_io(what: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => ": give this user the right to",
        io::ErrorKind::ReadOnlyFilesystem => ": the volume is mounted read-only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room on the volume",
        _ => "",
    };
    unusable(format!("{what} {}{hint}", path.display())).with_source(error)
}
