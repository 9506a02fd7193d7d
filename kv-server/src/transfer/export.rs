use std::time::{Duration, Instant};

use kv_core::command::{Scan, ScanPosition};
use kv_core::error::Error;
use kv_net::Client;
use serde::{Deserialize, Serialize};

use crate::transfer::{Entry, EntryValue, FileSink, Progress, Saved};

/// Between two notes of how far it came.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// Pages that fail for a reason that passes are read again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// All keys of a bucket on their way into a file.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) client: Client,
    pub(crate) scan: Scan,
    pub(crate) sink: FileSink,
    pub(crate) saved: Option<Saved>,
    pub(crate) progress: Progress,
    pub(crate) exported: Exported,
}

/// How far an export came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exported {
    pub(crate) bucket: String,
    pub(crate) prefix: Vec<u8>,
    /// How the file is written.
    pub(crate) writing: String,
    /// Where the next page begins.
    pub(crate) from: ScanPosition,
    /// Length of the file up to there.
    pub(crate) bytes: u64,
    pub(crate) keys: u64,
    /// Keys with several concurrent values.
    pub(crate) with_siblings: u64,
    /// Keys with values that expire.
    #[serde(default)]
    pub(crate) expiring: u64,
}

/// Why an export stopped.
#[derive(Debug)]
pub(crate) enum ExportError {
    Cluster(Error),
    File(String),
}

impl Export {
    /// Writes page after page until the end of the bucket.
    pub(crate) async fn run(mut self) -> Result<(Exported, Progress), ExportError> {
        let mut noted = Instant::now();
        let before = self.exported.keys;
        self.scan.from = self.exported.from.clone();
        // A file with this beside it is not whole, from its first moment on.
        self.note()?;
        loop {
            let page = match self.page().await {
                Ok(page) => page,
                Err(error) => {
                    self.note()?;
                    return Err(ExportError::Cluster(error));
                }
            };
            for entry in page.entries {
                self.exported.keys += 1;
                self.exported.with_siblings += u64::from(entry.values.len() > 1);
                let values: Vec<EntryValue> = entry.values.into_iter().map(EntryValue::from).collect();
                self.exported.expiring += u64::from(values.iter().any(|value| value.expires_at_ms.is_some()));
                let written = self.sink.write(&Entry { key: entry.key, values });
                written.map_err(|error| ExportError::File(error.to_string()))?;
            }
            // Tokens are even: the share of them that is done is the share of the keys.
            self.progress.set(self.scan.from.token.0 >> 32, self.exported.keys - before);
            let Some(next) = page.next else { break };
            self.scan.from = next;
            if noted.elapsed() >= SAVED_EVERY {
                self.note()?;
                noted = Instant::now();
            }
        }
        self.sink.store().map_err(|error| ExportError::File(error.to_string()))?;
        if let Some(saved) = &self.saved {
            saved.remove().map_err(ExportError::File)?;
        }
        self.progress.end();
        Ok((self.exported, self.progress))
    }

    fn note(&mut self) -> Result<(), ExportError> {
        let Some(saved) = &self.saved else { return Ok(()) };
        self.exported.bytes = self.sink.store().map_err(|error| ExportError::File(error.to_string()))?;
        self.exported.from = self.scan.from.clone();
        saved.write(&self.exported).map_err(ExportError::File)
    }

    async fn page(&self) -> Result<kv_core::command::ScanAnswer, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.client.scan(self.scan.clone()).await {
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                result => return result,
            }
        }
    }
}
