//! Concurrent clients that put and get, and know what has to be found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kv_core::bucket::Quorum;
use kv_core::causality::ContextToken;
use kv_core::command::{Get, GetAnswer, Put, PutResult, Replace};
use kv_core::error::Error;
use kv_core::key::Key;
use kv_net::Client;
use tokio::task::JoinSet;

use crate::expected::{Expected, Number, Replaced};

/// Siblings beyond which a writer replaces them.
const SIBLINGS_MAX: usize = 12;

/// How large a load is.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Clients at work side by side.
    pub writers: usize,
    /// Keys that each of them writes, and nobody else.
    pub keys: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { writers: 16, keys: 64, value_bytes: 100 }
    }
}

/// What became of a load's operations.
#[derive(Debug)]
pub struct Tally {
    /// Puts that were acknowledged.
    pub applied: u64,
    /// Puts that were refused, to be sure of it.
    pub not_applied: u64,
    /// Puts of unknown end.
    pub indeterminate: u64,
    /// Gets that were answered.
    pub answered: u64,
    /// Gets that failed.
    pub failed: u64,
    /// Operations that did not succeed, the first of them.
    pub failures: Vec<Failure>,
    /// Answers that the history does not allow.
    pub violations: Vec<String>,
    /// Microseconds of each operation that succeeded.
    pub latency: Histogram<u64>,
}

/// An operation that did not succeed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What it was.
    pub what: &'static str,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Why.
    pub error: Error,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            applied: 0,
            not_applied: 0,
            indeterminate: 0,
            answered: 0,
            failed: 0,
            failures: Vec::new(),
            violations: Vec::new(),
            latency: Histogram::new(3).unwrap(),
        }
    }
}

impl Tally {
    /// Adds what another counted.
    pub fn add(&mut self, other: Tally) {
        self.applied += other.applied;
        self.not_applied += other.not_applied;
        self.indeterminate += other.indeterminate;
        self.answered += other.answered;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.violations.extend(other.violations);
        self.latency.add(other.latency).unwrap();
    }

    /// Operations that ended in any way.
    pub fn operations(&self) -> u64 {
        self.applied + self.not_applied + self.indeterminate + self.answered + self.failed
    }

    /// Operations that did not succeed.
    pub fn unsuccessful(&self) -> u64 {
        self.not_applied + self.indeterminate + self.failed
    }

    /// The counts in words.
    pub fn summary(&self) -> String {
        format!(
            "{} operations: {} puts applied, {} not applied, {} indeterminate; {} gets answered, {} failed; latency p50 {} us, p99 {} us, \
             largest {} us",
            self.operations(),
            self.applied,
            self.not_applied,
            self.indeterminate,
            self.answered,
            self.failed,
            self.latency.value_at_quantile(0.5),
            self.latency.value_at_quantile(0.99),
            self.latency.max(),
        )
    }

    fn failure(&mut self, what: &'static str, began: Instant, error: Error) {
        self.failures.push(Failure { what, began, ended: Instant::now(), error });
    }
}

/// Writers that do not run at the moment.
#[derive(Debug)]
pub struct Load {
    writers: Vec<Writer>,
}

/// Writers at work.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    operations: Arc<AtomicU64>,
    tasks: JoinSet<Writer>,
}

impl Load {
    /// Writers whose keys have never been written. Half of the keys lie in the bucket `default`, half in `redis`.
    pub fn new(options: &LoadOptions) -> Self {
        let writers = (0..options.writers).map(|writer| Writer::new(writer, options));
        Load { writers: writers.collect() }
    }

    /// Sets all writers to work.
    pub fn start(self, client: &Client) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let operations = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for mut writer in self.writers {
            let (client, stop, operations) = (client.clone(), stop.clone(), operations.clone());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    writer.step(&client).await;
                    operations.fetch_add(1, Ordering::Relaxed);
                }
                writer
            });
        }
        Running { stop, operations, tasks }
    }

    /// What was counted since this was last asked.
    pub fn tally(&mut self) -> Tally {
        let mut tally = Tally::default();
        for writer in &mut self.writers {
            tally.add(std::mem::take(&mut writer.tally));
        }
        tally
    }

    /// All processes have ended since the writers were stopped: nothing is under way.
    pub fn quiet(&mut self) {
        self.writers.iter_mut().flat_map(|writer| &mut writer.keys).for_each(|key| key.expected.quiet());
    }

    /// Reads every key that was ever written with that R, and returns how many there were and what is wrong.
    pub async fn check(&self, client: &Client, r: Quorum) -> (u64, Vec<String>) {
        let mut wrong = Vec::new();
        let mut count = 0;
        let keys: Vec<&KeyState> = self.keys().collect();
        for some in keys.chunks(64) {
            let gets = some.iter().map(|key| client.get(key.get().with_r(r)));
            for (key, answer) in some.iter().zip(futures::future::join_all(gets).await) {
                count += 1;
                let judged = match answer {
                    Ok(answer) => key.judge(&answer),
                    Err(error) => Err(format!("cannot be read: {error}")),
                };
                wrong.extend(judged.err().map(|what| format!("{} {}: {what}", key.bucket, key.name)));
            }
        }
        (count, wrong)
    }

    /// Every key that was ever written, as a get.
    pub fn gets(&self) -> Vec<Get> {
        self.keys().map(KeyState::get).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &KeyState> {
        self.writers.iter().flat_map(|writer| &writer.keys).filter(|key| key.last > 0)
    }
}

impl Running {
    /// Operations that have ended so far.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Waits until that many more operations have ended.
    ///
    /// # Errors
    ///
    /// If that does not happen.
    pub async fn more(&self, count: u64) -> anyhow::Result<()> {
        let wanted = self.operations() + count;
        let end = Instant::now() + crate::process::PATIENCE;
        while self.operations() < wanted {
            anyhow::ensure!(Instant::now() < end, "the load stands still");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets every writer finish what it is about.
    pub async fn stop(mut self) -> Load {
        self.stop.store(true, Ordering::Relaxed);
        let mut writers = Vec::new();
        while let Some(writer) = self.tasks.join_next().await {
            writers.push(writer.unwrap());
        }
        Load { writers }
    }
}

#[derive(Debug)]
struct Writer {
    keys: Vec<KeyState>,
    value_bytes: usize,
    tally: Tally,
}

/// A key and all that its writer knows of it.
#[derive(Debug)]
struct KeyState {
    bucket: &'static str,
    name: String,
    last: Number,
    expected: Expected,
    /// What was last read or written, and the values that this context covers.
    context: Option<(ContextToken, Vec<Number>)>,
}

impl Writer {
    fn new(writer: usize, options: &LoadOptions) -> Self {
        let keys = (0..options.keys).map(|index| {
            let bucket = if index % 2 == 0 { "default" } else { "redis" };
            KeyState {
                bucket,
                name: format!("writer {writer} key {index}"),
                last: 0,
                expected: Expected::new(bucket == "redis"),
                context: None,
            }
        });
        Writer { keys: keys.collect(), value_bytes: options.value_bytes, tally: Tally::default() }
    }

    async fn step(&mut self, client: &Client) {
        let index = rand::random_range(0..self.keys.len());
        let key = &mut self.keys[index];
        let read = key.expected.is_by_stamp() && key.last > 0 && key.context.is_none();
        if read || rand::random_range(0..100) < 35 {
            key.read(client, &mut self.tally).await;
        } else {
            key.write(client, self.value_bytes, &mut self.tally).await;
        }
    }
}

impl KeyState {
    fn key(&self) -> Key {
        Key::try_from(self.name.as_str()).unwrap()
    }

    fn get(&self) -> Get {
        Get::new(self.bucket, self.key())
    }

    /// The values of an answer, by their numbers; an error if one of them was never put here.
    fn numbers(&self, answer: &GetAnswer) -> Result<Vec<Number>, String> {
        let number = |value: &[u8]| {
            let text = std::str::from_utf8(value).ok()?;
            let number = text.split(' ').next()?.parse().ok()?;
            (value == self.value(number, value.len()).as_bytes()).then_some(number)
        };
        let numbers = answer.values.iter().map(|sibling| {
            number(&sibling.value).ok_or_else(|| format!("nobody put {:?} here", sibling.value))
        });
        numbers.collect()
    }

    fn value(&self, number: Number, bytes: usize) -> String {
        let mut value = format!("{number} {} ", self.name);
        value.extend(std::iter::repeat_n('.', bytes.saturating_sub(value.len())));
        value
    }

    fn judge(&self, answer: &GetAnswer) -> Result<(), String> {
        self.expected.judge(&self.numbers(answer)?)
    }

    async fn read(&mut self, client: &Client, tally: &mut Tally) {
        let began = Instant::now();
        match client.get(self.get()).await {
            Ok(answer) => {
                tally.answered += 1;
                tally.latency.record(began.elapsed().as_micros() as u64).unwrap();
                match self.judge(&answer) {
                    Ok(()) => {
                        let numbers = self.numbers(&answer).unwrap_or_default();
                        self.context = Some((answer.context, numbers));
                    }
                    Err(what) => tally.violations.push(format!("{} {}: {what}", self.bucket, self.name)),
                }
            }
            Err(error) => {
                tally.failed += 1;
                tally.failure("get", began, error);
            }
        }
    }

    async fn write(&mut self, client: &Client, value_bytes: usize, tally: &mut Tally) {
        self.last += 1;
        let number = self.last;
        let (replace, replaced) = self.choose();
        let put = Put { replace, ..Put::new(self.bucket, self.key(), self.value(number, value_bytes)) };
        let began = Instant::now();
        match client.put(put).await {
            PutResult::Applied(applied) => {
                tally.applied += 1;
                tally.latency.record(began.elapsed().as_micros() as u64).unwrap();
                self.expected.applied(number, &replaced);
                // After an overwrite it is not known here what the context covers besides.
                self.context = match replaced {
                    Replaced::Found => None,
                    Replaced::These(mut values) => {
                        values.push(number);
                        Some((applied.context, values))
                    }
                };
            }
            PutResult::NotApplied(error) => {
                tally.not_applied += 1;
                tally.failure("put", began, error);
            }
            PutResult::Indeterminate(error) => {
                tally.indeterminate += 1;
                self.expected.indeterminate(number, &replaced);
                tally.failure("put", began, error);
            }
        }
    }

    fn choose(&self) -> (Replace, Replaced) {
        let blind = (Replace::Nothing, Replaced::These(Vec::new()));
        let with_context = self
            .context
            .clone()
            .map(|(context, values)| (Replace::Context(context), Replaced::These(values)));
        match rand::random_range(0..100) {
            // Stamps alone say which of two blind puts wins, and a node that was restarted may be ahead of the others: but for the first,
            // a put here says what it replaces, so that it is known what has to be there.
            _ if self.expected.is_by_stamp() => with_context.unwrap_or(blind),
            0..30 if self.expected.siblings() < SIBLINGS_MAX => blind,
            0..60 => with_context.unwrap_or((Replace::Overwrite, Replaced::Found)),
            _ => (Replace::Overwrite, Replaced::Found),
        }
    }
}
