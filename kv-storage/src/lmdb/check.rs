use std::hint::black_box;
use std::path::Path;

use kv_core::error::{Error, ErrorKind};

use super::errors::open_error;
use super::open::{Opened, open};
use super::{Creation, LmdbOptions};

/// Smallest page of any platform: a byte of each is looked at.
const PAGE_BYTES_MIN: usize = 4 << 10;

/// Opens the store in `directory` as it is and reads all of it, which a store that is damaged may not survive: LMDB ends the process for
/// pages that hold nonsense, and the operating system for those that the file no longer has. So it is to be called in a process of its own.
/// Returns how many entries there are.
///
/// # Errors
///
/// `StorageDamaged` if that is what it is, otherwise as [`LmdbStorage::open`](super::LmdbStorage::open). Nothing is changed.
pub fn read_through(directory: impl AsRef<Path>, options: &LmdbOptions) -> Result<u64, Error> {
    let directory = directory.as_ref();
    let options = LmdbOptions { creation: Creation::Never, ..options.clone() };
    let Opened { env, entries, lock } = open(directory, &options)?;
    let failed = |error| open_error(directory, error);
    let txn = env.read_txn().map_err(failed)?;
    let mut count = 0;
    for entry in entries.iter(&txn).map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        black_box(value.iter().step_by(PAGE_BYTES_MIN).chain(value.last()).chain(key.last()).max());
        count += 1;
    }
    if count != entries.len(&txn).map_err(failed)? {
        let shown = directory.display();
        return Err(Error::new(
            ErrorKind::StorageDamaged,
            format!("data.mdb in {shown} is damaged: it has other entries than it says"),
        ));
    }
    drop(txn);
    drop(env);
    drop(lock);
    Ok(count)
}
