use std::fs::{File, TryLockError};
use std::path::Path;

use kv_core::error::Error;

use crate::errors::{unusable, unusable_io};

const LOCK_FILE: &str = "LOCK";

/// The exclusive right to a store's directory, given back when dropped or when the process ends. LMDB itself would let several
/// processes write.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    pub(crate) fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(LOCK_FILE);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| unusable_io("cannot write", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { file }),
            Err(TryLockError::WouldBlock) => Err(unusable(format!(
                "the store in {} is open already, in this process or in another: close it there, or give this one a \
                 directory of its own",
                directory.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unusable_io("cannot lock", &path, error)),
        }
    }

    /// A file on the store's device.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file would not do while a child process, forked meanwhile, still has its copy of the descriptor. If
        // unlocking fails, the closing that follows is all there is left to try.
        self.file.unlock().ok();
    }
}
