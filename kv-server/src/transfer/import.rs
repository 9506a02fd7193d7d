use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use kv_core::bucket::Quorum;
use kv_core::command::{PutMany, PutResult, Replace, WriteOptions};
use kv_core::error::{Error, ErrorKind};
use kv_core::key::Key;
use kv_net::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::transfer::{Batch, Entry, Mark, Progress, Saved, Source, SourceError};

/// Batches under way.
const BATCHES_MAX: usize = 8;

/// Between two notes of how far it came.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// Writes that fail for a reason that passes are tried again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Whether progress goes by the source's position or by its entries.
    pub(crate) by_position: bool,
    pub(crate) mark: Mark,
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
    pub(crate) async fn run(self, source: impl Source) -> Result<Imported, ImportError> {
        let (sender, mut receiver) = mpsc::channel::<Batch>(2);
        let reading = tokio::task::spawn_blocking(move || read(source, &sender));
        let mut run = Run {
            imported: Imported {
                mark: self.mark.clone(),
                written: 0,
                refused: Vec::new(),
                refused_count: 0,
                source_keys: None,
                pace: String::new(),
            },
            import: self,
            flight: Flight::default(),
            begun: Instant::now(),
            noted: Instant::now(),
        };
        let mut written = Ok(());
        while written.is_ok()
            && let Some(batch) = receiver.recv().await
        {
            written = run.take(batch).await;
        }
        // A reader whose batches nobody takes any more stops.
        drop(receiver);
        while !run.flight.batches.is_empty() {
            let landed = run.land().await;
            written = written.and(landed);
        }
        run.note(true)?;
        run.import.progress.end();
        written?;
        let read = reading.await.map_err(|error| ImportError::File(error.to_string()))?;
        run.imported.source_keys = read.map_err(ImportError::Source)?;
        if let Some(saved) = &run.import.saved {
            saved.remove().map_err(ImportError::File)?;
        }
        run.imported.pace = run.import.progress.pace(run.imported.written);
        Ok(run.imported)
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
    /// Sends a batch on its way, as soon as there is room and no earlier one writes any of its keys: of two entries of a key the later
    /// stays.
    async fn take(&mut self, batch: Batch) -> Result<(), ImportError> {
        let last: BTreeMap<Key, Entry> =
            batch.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        if let Some(rate) = self.import.rate {
            let begun = self.imported.written + self.flight.keys.len() as u64;
            let due = self.begun + Duration::from_secs_f64(begun as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
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
            self.imported.written += (keys.len() - refused.len()) as u64;
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
        let done = if self.import.by_position { mark.position } else { mark.entries };
        self.import.progress.set(done, self.imported.written);
        self.note(false)
    }

    fn note(&mut self, always: bool) -> Result<(), ImportError> {
        let Some(saved) = &self.import.saved else { return Ok(()) };
        if always || self.noted.elapsed() >= SAVED_EVERY {
            self.noted = Instant::now();
            saved.write(&self.imported.mark).map_err(ImportError::File)?;
        }
        Ok(())
    }
}

/// Writes entries until each is stored or refused for good, and returns those.
async fn write(
    client: &Client,
    bucket: &str,
    w: Option<Quorum>,
    entries: Vec<Entry>,
) -> Result<Refused, Error> {
    let mut first = Vec::with_capacity(entries.len());
    let mut beside = Vec::new();
    for Entry { key, values } in entries {
        let mut values = values.into_iter();
        first.extend(values.next().map(|value| (key.clone(), Some(value), Replace::Overwrite)));
        beside.extend(values.map(|value| (key.clone(), Some(value), Replace::Nothing)));
    }
    let mut refused = write_all(client, bucket, w, first).await?;
    // Concurrent values stand beside the first; one request may hold only one write of a key.
    for put in beside {
        refused.extend(write_all(client, bucket, w, vec![put]).await?);
    }
    Ok(refused)
}

type OnePut = (Key, Option<bytes::Bytes>, Replace);

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
