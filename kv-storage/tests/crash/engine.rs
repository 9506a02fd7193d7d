use std::env;
use std::path::Path;
use std::sync::Arc;

use kv_core::storage::Storage;
use kv_storage::{LmdbOptions, LmdbStorage, LogOptions, logged};

const ENGINE: &str = "KV_CRASH_ENGINE";

/// What is killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// LMDB.
    #[default]
    Lmdb,
    /// LMDB behind a log, which gives it a few batches at a time, in the thread that writes.
    Logged,
    /// The same, in a thread of its own.
    LoggedInBackground,
}

impl Engine {
    /// As the variable says that the writing process is given.
    pub(crate) fn from_env() -> Self {
        match env::var(ENGINE).as_deref() {
            Ok("logged") => Engine::Logged,
            Ok("logged-in-background") => Engine::LoggedInBackground,
            _ => Engine::Lmdb,
        }
    }

    /// The variable.
    pub(crate) fn env(self) -> (&'static str, &'static str) {
        let name = match self {
            Engine::Lmdb => "lmdb",
            Engine::Logged => "logged",
            Engine::LoggedInBackground => "logged-in-background",
        };
        (ENGINE, name)
    }

    /// The same for who counts what is there: nothing goes on meanwhile.
    pub(crate) fn without_thread(self) -> Self {
        if self == Engine::LoggedInBackground { Engine::Logged } else { self }
    }

    /// Opens the store in a directory.
    pub(crate) fn open(self, directory: &Path) -> Arc<dyn Storage> {
        let below = Arc::new(LmdbStorage::open(directory, &LmdbOptions::default()).expect("the store opens"));
        if self == Engine::Lmdb {
            return below;
        }
        let in_background = self == Engine::LoggedInBackground;
        let options = LogOptions { segment_bytes: 16 << 10, transaction_bytes: 4 << 10, in_background };
        logged(below, directory.join("log"), &options).expect("the log opens")
    }
}
