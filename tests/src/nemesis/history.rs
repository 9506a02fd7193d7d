//! What clients asked and were told, as lines of JSON (docs/nemesis.md).

use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The number of a write, which no other write of the run has.
pub type WriteId = u64;

/// The version of the format.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Run(Run),
    /// A put or delete.
    Put(Put),
    /// A get.
    Get(Get),
    /// A fault, from its beginning to its end.
    Fault(Injected),
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// [`VERSION`].
    pub version: u32,
    /// The release of the nodes.
    pub release: String,
    /// The name of the scenario.
    pub scenario: String,
    /// From which its faults were drawn.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// When the faults began, in microseconds since the run began.
    pub faults_begin_us: u64,
    /// When they ended.
    pub faults_end_us: u64,
    /// The buckets.
    pub buckets: Vec<Bucket>,
}

/// What a bucket promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Owners of a key (N).
    pub replicas: usize,
    /// Whether the highest stamp wins among concurrent writes; otherwise all are kept.
    pub by_stamp: bool,
    /// Whether stand-ins count.
    pub sloppy: bool,
}

/// A put or delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Its number, which is also its value.
    pub write: WriteId,
    /// The client.
    pub client: usize,
    /// The node through which this client does everything; none if it uses all.
    pub entry: Option<usize>,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Whether it is a delete.
    pub delete: bool,
    /// What it replaces.
    pub replaces: Replaces,
    /// When it was begun, in microseconds since the run began.
    pub begin_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The name that the cluster gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dot: Option<String>,
    /// Owners that acknowledged it by the time of the answer.
    pub owners: usize,
    /// Nodes that acknowledged it in the place of owners.
    pub stand_ins: usize,
    /// Acknowledgements that were asked for (W).
    pub w: usize,
    /// Owners that the read inside an overwrite has asked (R, less the stand-ins among them).
    pub owners_read: usize,
}

/// What a write replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaces {
    /// These writes, which its client had read or written, and all that those replaced.
    Context(Vec<WriteId>),
    /// What the cluster found: all the writes that the answer names, if there was an answer.
    Overwrite(Option<Vec<WriteId>>),
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is stored.
    Applied,
    /// A delete that found nothing: it is no write.
    NothingToDelete,
    /// It has not happened and will not.
    NotApplied,
    /// It may have happened, or may happen.
    Indeterminate,
}

/// A get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The client.
    pub client: usize,
    /// The node through which this client does everything; none if it uses all.
    pub entry: Option<usize>,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// When it was begun, in microseconds since the run began.
    pub begin_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// Owners that answered (R, less the stand-ins that counted).
    pub owners: usize,
    /// Whether it was made when all faults were over and the cluster was at rest, with R = all.
    pub last: bool,
    /// What it showed; none if it failed.
    pub values: Option<Vec<Value>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A value that a get showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The number of its write; none if it is no value of this run.
    pub write: Option<WriteId>,
    /// The name that the cluster gave it.
    pub dot: String,
}

/// A fault that was injected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// What it was, in words.
    pub what: String,
    /// The nodes that it was done to, from 1.
    pub nodes: Vec<usize>,
    /// When it began, in microseconds since the run began.
    pub begin_us: u64,
    /// When it was over.
    pub end_us: u64,
}

/// Writes a history to a file.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(path: &Path, history: &[Event]) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    for event in history {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// Reads a history from a file.
///
/// # Errors
///
/// If it cannot be read, or a line is none of ours.
pub fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
    let file = std::io::BufReader::new(std::fs::File::open(path)?);
    let mut history = Vec::new();
    for (line, text) in (1..).zip(file.lines()) {
        let event =
            serde_json::from_str(&text?).with_context(|| format!("{}, line {line}", path.display()))?;
        history.push(event);
    }
    Ok(history)
}
