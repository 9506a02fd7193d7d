use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kv_core::bucket::Quorum;
use kv_core::command::{Content, Put, PutMany, PutResult, Replace, WriteOptions};
use kv_core::error::{Error, ErrorKind};
use kv_core::key::Key;
use kv_net::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::console::complain;
use crate::transfer::{Batch, Entry, EntryValue, FileSource, Mark, Progress, Saved, Source, SourceError};

/// Batches under way.
const BATCHES_MAX: usize = 8;

/// Between two notes of how far it came.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// Writes that fail for a reason that passes are tried again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of keys and values that are written at a time, unless it is one alone.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Keys whose refusal is told.
const REFUSED_SHOWN_MAX: usize = 10;

/// Entries on their way from a source into a bucket.
pub(crate) struct Import {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) w: Option<Quorum>,
    /// Most entries a second.
    pub(crate) rate: Option<f64>,
    pub(crate) saved: Option<Saved>,
    pub(crate) progress: Progress,
    /// The file, if it is one; then progress goes by the place in it, and by entries otherwise.
    pub(crate) file: Option<PathBuf>,
    pub(crate) state: ImportState,
}

/// How far an import came, of what and into what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportState {
    pub(crate) bucket: String,
    /// How the source is read: the format and columns of a file, the life of a Redis.
    pub(crate) reading: String,
    pub(crate) mark: Mark,
    /// What stands in the file before the mark.
    pub(crate) before: Vec<u8>,
    /// Keys that the cluster would not take.
    pub(crate) refused: u64,
}

/// What an import came to.
pub(crate) struct Imported {
    /// How far everything before is written.
    pub(crate) mark: Mark,
    /// Entries written in this run.
    pub(crate) written: u64,
    /// Entries that the cluster will not take, and why; not more than are to be told.
    pub(crate) refused: Refused,
    pub(crate) refused_count: u64,
    /// Keys of the source at the end, if it can tell.
    pub(crate) source_keys: Option<u64>,
    pub(crate) pace: String,
}

/// Why an import stopped. What came before the place that was saved is written.
#[derive(Debug)]
pub(crate) enum ImportError {
    Source(SourceError),
    Cluster(Error),
    File(String),
}

/// Entries that the cluster will not take, and why.
type Refused = Vec<(Key, Error)>;

/// What is under way.
#[derive(Default)]
struct Flight {
    batches: JoinSet<(u64, Result<Refused, Error>)>,
    keys: HashSet<Key>,
    /// By number: the keys of those under way, and where the source was behind each.
    marks: BTreeMap<u64, (Vec<Key>, Mark, bool)>,
    last: u64,
}

impl Import {
    /// Writes everything, and says what came of it also if it stops on the way.
    pub(crate) async fn run(self, source: impl Source) -> (Imported, Result<(), ImportError>) {
        let (sender, mut receiver) = mpsc::channel::<Batch>(2);
        let reading = tokio::task::spawn_blocking(move || read(source, &sender));
        let mut run = Run {
            imported: Imported {
                mark: self.state.mark.clone(),
                written: 0,
                refused: Vec::new(),
                refused_count: self.state.refused,
                source_keys: None,
                pace: String::new(),
            },
            import: self,
            flight: Flight::default(),
            begun: Instant::now(),
            noted: Instant::now(),
        };
        // What an earlier import left must not be taken for the state of this one.
        if let Err(error) = run.note(true) {
            complain(&format!("kv: {error}; if the import stops it has to begin anew"));
            run.import.saved = None;
        }
        let written = run.write_all(&mut receiver).await;
        // A reader whose batches nobody takes any more stops.
        drop(receiver);
        let ended = run.end(written, reading).await;
        run.imported.pace = run.import.progress.pace(run.imported.written);
        (run.imported, ended)
    }
}

/// Reads a source to its end, and counts it again.
fn read(mut source: impl Source, batches: &mpsc::Sender<Batch>) -> Result<Option<u64>, SourceError> {
    while let Some(batch) = source.next()? {
        if batches.blocking_send(batch).is_err() {
            return Ok(None);
        }
    }
    Ok(source.count())
}

struct Run {
    import: Import,
    flight: Flight,
    imported: Imported,
    begun: Instant,
    noted: Instant,
}

impl Run {
    async fn write_all(&mut self, receiver: &mut mpsc::Receiver<Batch>) -> Result<(), ImportError> {
        loop {
            let batch = tokio::select! {
                batch = receiver.recv() => batch,
                landed = self.land(), if !self.flight.batches.is_empty() => {
                    landed?;
                    continue;
                }
            };
            match batch {
                Some(batch) => self.take(batch).await?,
                None => return Ok(()),
            }
        }
    }

    async fn end(
        &mut self,
        mut written: Result<(), ImportError>,
        reading: JoinHandle<Result<Option<u64>, SourceError>>,
    ) -> Result<(), ImportError> {
        while !self.flight.batches.is_empty() {
            let landed = self.land().await;
            written = written.and(landed);
        }
        let noted = self.note(true);
        self.import.progress.end();
        written?;
        noted.map_err(ImportError::File)?;
        let read = reading.await.map_err(|error| ImportError::File(error.to_string()))?;
        self.imported.source_keys = read.map_err(ImportError::Source)?;
        if let Some(saved) = &self.import.saved {
            saved.remove().map_err(ImportError::File)?;
        }
        Ok(())
    }

    /// Sends a batch on its way, as soon as there is room and no earlier one writes any of its keys: of two entries of a key the later
    /// stays.
    async fn take(&mut self, batch: Batch) -> Result<(), ImportError> {
        let last: BTreeMap<Key, Entry> =
            batch.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        if let Some(rate) = self.import.rate {
            let begun = self.imported.written + self.flight.keys.len() as u64;
            let due = self.begun + Duration::from_secs_f64(begun as f64 / rate);
            let mut sleep = std::pin::pin!(tokio::time::sleep_until(due.into()));
            while !self.flight.batches.is_empty() {
                tokio::select! {
                    () = &mut sleep => break,
                    landed = self.land() => landed?,
                }
            }
            sleep.await;
        }
        while self.flight.batches.len() >= BATCHES_MAX
            || last.keys().any(|key| self.flight.keys.contains(key))
        {
            self.land().await?;
        }
        self.flight.last += 1;
        let number = self.flight.last;
        let keys: Vec<Key> = last.keys().cloned().collect();
        self.flight.keys.extend(keys.iter().cloned());
        self.flight.marks.insert(number, (keys, batch.mark, false));
        let (client, bucket, w) = (self.import.client.clone(), self.import.bucket.clone(), self.import.w);
        let entries = last.into_values().collect();
        self.flight.batches.spawn(async move { (number, write(&client, &bucket, w, entries).await) });
        Ok(())
    }

    /// Waits until a batch is written.
    async fn land(&mut self) -> Result<(), ImportError> {
        let Some(landed) = self.flight.batches.join_next().await else { return Ok(()) };
        let (number, result) = landed.map_err(|error| ImportError::File(error.to_string()))?;
        let refused = result.map_err(ImportError::Cluster)?;
        if let Some((keys, _, is_written)) = self.flight.marks.get_mut(&number) {
            *is_written = true;
            self.imported.written += keys.len().saturating_sub(refused.len()) as u64;
            for key in keys.iter() {
                self.flight.keys.remove(key);
            }
        }
        self.imported.refused_count += refused.len() as u64;
        let room = REFUSED_SHOWN_MAX.saturating_sub(self.imported.refused.len());
        self.imported.refused.extend(refused.into_iter().take(room));
        while let Some(first) = self.flight.marks.first_entry().filter(|first| first.get().2) {
            self.imported.mark = first.remove().1;
        }
        let mark = &self.imported.mark;
        let done = if self.import.file.is_some() { mark.position } else { mark.entries };
        self.import.progress.set(done, self.imported.written);
        self.note(false).map_err(ImportError::File)
    }

    fn note(&mut self, always: bool) -> Result<(), String> {
        let Some(saved) = &self.import.saved else { return Ok(()) };
        if always || self.noted.elapsed() >= SAVED_EVERY {
            self.noted = Instant::now();
            let (state, mark) = (&mut self.import.state, &self.imported.mark);
            if let Some(file) = &self.import.file {
                let before = FileSource::before(file, mark.position);
                state.before = before.map_err(|error| error.to_string())?.unwrap_or_default();
            }
            (state.mark, state.refused) = (mark.clone(), self.imported.refused_count);
            saved.write(state)?;
        }
        Ok(())
    }
}

/// Writes entries until each is stored or refused for good, and returns the keys that were refused, each once.
async fn write(
    client: &Client,
    bucket: &str,
    w: Option<Quorum>,
    entries: Vec<Entry>,
) -> Result<Refused, Error> {
    let mut refused = Refused::new();
    let (mut puts, mut bytes) = (Vec::with_capacity(entries.len()), 0);
    for Entry { key, values } in entries {
        if values.len() > 1 {
            refused.extend(write_beside(client, bucket, w, key, values).await?);
            continue;
        }
        let size = key.as_bytes().len() + values.iter().map(|value| value.bytes.len()).sum::<usize>();
        if bytes + size > REQUEST_BYTES_MAX && !puts.is_empty() {
            refused.extend(write_all(client, bucket, w, std::mem::take(&mut puts)).await?);
            bytes = 0;
        }
        bytes += size;
        puts.extend(values.iter().map(|value| (key.clone(), value.content(), Replace::Overwrite)));
    }
    if !puts.is_empty() {
        refused.extend(write_all(client, bucket, w, puts).await?);
    }
    Ok(refused)
}

/// Writes the concurrent values of a key beside each other. Where nobody knows whether one was written they are written anew, or it might be
/// there twice.
async fn write_beside(
    client: &Client,
    bucket: &str,
    w: Option<Quorum>,
    key: Key,
    values: Vec<EntryValue>,
) -> Result<Option<(Key, Error)>, Error> {
    let end = Instant::now() + PATIENCE;
    'anew: loop {
        let mut replace = Replace::Overwrite;
        for value in &values {
            let options = WriteOptions { w, ..WriteOptions::default() };
            let put = Put {
                content: value.content(),
                replace: std::mem::replace(&mut replace, Replace::Nothing),
                options,
                ..Put::delete(bucket, key.clone())
            };
            match client.put(put).await {
                PutResult::Applied(_) => {}
                PutResult::NotApplied(error) if !error.is_retryable() => return Ok(Some((key, error))),
                PutResult::NotApplied(error) | PutResult::Indeterminate(error) => {
                    if error.kind() == ErrorKind::UnknownBucket || Instant::now() >= end {
                        return Err(error);
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue 'anew;
                }
            }
        }
        return Ok(None);
    }
}

type OnePut = (Key, Content, Replace);

async fn write_all(
    client: &Client,
    bucket: &str,
    w: Option<Quorum>,
    mut puts: Vec<OnePut>,
) -> Result<Refused, Error> {
    let (end, mut pause) = (Instant::now() + PATIENCE, Duration::from_millis(20));
    let mut refused = Vec::new();
    loop {
        let options = WriteOptions { w, ..WriteOptions::default() };
        let put = PutMany { bucket: bucket.into(), puts: puts.clone(), options };
        let last = match client.put_many(put).await {
            Ok(results) => {
                let mut again = Vec::new();
                let mut last = None;
                for (put, result) in puts.into_iter().zip(results) {
                    match result {
                        PutResult::Applied(_) => {}
                        PutResult::NotApplied(error) if !error.is_retryable() => refused.push((put.0, error)),
                        // To overwrite a value with itself changes nothing that counts.
                        PutResult::NotApplied(error) | PutResult::Indeterminate(error) => {
                            last = Some(error);
                            again.push(put);
                        }
                    }
                }
                puts = again;
                last
            }
            Err(error) if error.is_retryable() => Some(error),
            // One alone that no message can hold.
            Err(error) if error.kind() == ErrorKind::FrameTooLarge && puts.len() == 1 => {
                refused.extend(puts.into_iter().map(|put| (put.0, error.clone())));
                return Ok(refused);
            }
            Err(error) => return Err(error),
        };
        match last {
            None => return Ok(refused),
            Some(error) if error.kind() == ErrorKind::UnknownBucket || Instant::now() >= end => {
                return Err(error);
            }
            Some(_) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}
