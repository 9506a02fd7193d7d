use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use heed::{Env, Result, RoTxn, RwTxn, WithTls};

/// An environment whose readers see committed batches only.
///
/// LMDB's reader looks up the newest transaction and then copies that transaction's meta page. There are two meta pages: if the
/// reader is interrupted in between, for the rest of one commit and the beginning of the next, it copies what that next
/// commit has written but neither synchronised nor published. It would see a batch that a crash, or just its own next
/// transaction, takes back. (A thousand commits beside more readers than cores show it a few times.)
///
/// A reader therefore begins again if a commit has begun meanwhile. At most one commit was then under way, and that one does not
/// write the meta page of the newest transaction before it.
#[derive(Debug)]
pub(super) struct Environment {
    env: Env<WithTls>,
    /// The data file as it was opened: its device and number.
    file: Option<(u64, u64)>,
    commits_begun: AtomicU64,
}

impl Environment {
    pub(super) fn new(env: Env<WithTls>) -> Self {
        let file = data_file(&env);
        Environment { env, file, commits_begun: AtomicU64::new(0) }
    }

    /// Whether the data file is still where it was when it was opened.
    pub(super) fn is_in_its_place(&self) -> bool {
        data_file(&self.env) == self.file
    }

    /// Begins to read the newest state that is committed.
    pub(super) fn read(&self) -> Result<RoTxn<'_, WithTls>> {
        loop {
            let before = self.commits_begun.load(Ordering::Acquire);
            let txn = self.env.read_txn()?;
            // What the transaction copied was read before the counter is read again.
            fence(Ordering::Acquire);
            if self.commits_begun.load(Ordering::Relaxed) == before {
                return Ok(txn);
            }
        }
    }

    /// Begins to write, when no other thread does.
    pub(super) fn write(&self) -> Result<RwTxn<'_>> {
        self.env.write_txn()
    }

    /// Commits a transaction of [`write`](Self::write), on the thread that began it.
    pub(super) fn commit(&self, txn: RwTxn<'_>) -> Result<()> {
        self.commits_begun.fetch_add(1, Ordering::Relaxed);
        // Whoever sees what the commit writes sees the counter, too.
        fence(Ordering::SeqCst);
        txn.commit()
    }

    /// Size of the data file, in bytes.
    pub(super) fn file_bytes(&self) -> Result<u64> {
        self.env.real_disk_size()
    }

    /// Size of the map, in bytes.
    pub(super) fn map_bytes(&self) -> u64 {
        self.env.info().map_size as u64
    }
}

fn data_file(env: &Env<WithTls>) -> Option<(u64, u64)> {
    let found = fs::metadata(env.path().join("data.mdb")).ok()?;
    Some((found.dev(), found.ino()))
}
