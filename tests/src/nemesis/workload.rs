//! Clients that put, get and delete the same keys, each through one node or through all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::bucket::Quorum;
use kv_core::causality::ContextToken;
use kv_core::command::{self, Content, PutResult, Replace};
use kv_core::error::ErrorKind;
use kv_core::key::Key;
use kv_core::transport::CallError;
use kv_net::Client;
use kv_net::transport::{ClientTransport, TarpcClient, TarpcOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;

use crate::nemesis::history::{Get, Outcome, Put, Replaces, WriteId};
use crate::nemesis::recorder::{self, Recorder};

/// Longest that an operation may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// Writes of a key after which its place is taken by a new one.
const WRITES_MAX: usize = 120;
/// Keys of each bucket that are used at a time.
const PLACES: usize = 8;
/// Values side by side beyond which they are replaced.
const SIBLINGS_MAX: usize = 8;
/// Longest that a client does nothing, in microseconds.
const IDLE_US: u64 = 8_000;

/// A bucket as it is used.
#[derive(Debug, Clone)]
pub struct Used {
    /// Its name.
    pub name: String,
    /// Whether the highest stamp wins.
    pub by_stamp: bool,
    /// Answers of reads (R), and acknowledgements (W) that are asked for.
    pub r: usize,
    /// See `r`.
    pub w: usize,
}

/// Clients that rest.
#[derive(Debug)]
pub struct Workload {
    board: Arc<Board>,
    actors: Vec<Actor>,
}

/// Clients at work.
#[derive(Debug)]
pub struct Running {
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Actor>,
}

/// What all clients share.
#[derive(Debug)]
struct Board {
    buckets: Vec<Used>,
    recorder: Arc<Recorder>,
    writes: AtomicU64,
    /// For each place of each bucket which key is there, and how often it was written.
    places: Mutex<Vec<Vec<(usize, usize)>>>,
}

/// One client.
#[derive(Debug)]
struct Actor {
    number: usize,
    entry: Option<usize>,
    client: Client,
    random: ChaCha8Rng,
    /// What it has last read or written of each key.
    known: HashMap<(usize, String), Known>,
}

#[derive(Debug, Clone)]
struct Known {
    token: ContextToken,
    writes: Vec<WriteId>,
}

impl Workload {
    /// For each node one client that knows only that node, and one that knows all.
    ///
    /// # Errors
    ///
    /// If a client cannot be made.
    pub fn new(
        addresses: &[String],
        buckets: Vec<Used>,
        recorder: Arc<Recorder>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let entries = (0..addresses.len()).flat_map(|node| [Some(node), None]);
        let actors = entries.enumerate().map(|(number, entry)| {
            let builder = Client::builder().timeout(TIMEOUT);
            let client = match entry {
                Some(node) => {
                    builder.seed(&addresses[node]).transport(Arc::new(Entry::only(&addresses[node])))
                }
                None => {
                    let mut seeds = addresses.to_vec();
                    seeds.rotate_left(number / 2);
                    builder.seeds(seeds)
                }
            };
            let random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(number as u64));
            Ok(Actor { number, entry, client: client.build()?, random, known: HashMap::new() })
        });
        let places = Mutex::new(vec![vec![(0, 0); PLACES]; buckets.len()]);
        let actors = actors.collect::<anyhow::Result<_>>()?;
        let board = Arc::new(Board { buckets, recorder, writes: AtomicU64::new(0), places });
        Ok(Workload { board, actors })
    }

    /// Sets all clients to work.
    pub fn start(self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for mut actor in self.actors {
            let (board, stop) = (self.board.clone(), stop.clone());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    actor.step(&board).await;
                    let idle = actor.random.random_range(0..IDLE_US);
                    tokio::time::sleep(Duration::from_micros(idle)).await;
                }
                actor
            });
        }
        Running { board: self.board, stop, tasks }
    }

    /// Every key that may have been written, with its bucket.
    pub fn keys(&self) -> Vec<(Used, String)> {
        let places = self.board.places.lock().unwrap();
        let buckets = self.board.buckets.iter().zip(places.iter());
        let keys = buckets.flat_map(|(bucket, places)| {
            places.iter().enumerate().flat_map(move |(place, (last, _))| {
                (0..=*last).map(move |number| (bucket.clone(), key_of(place, number)))
            })
        });
        keys.collect()
    }

    /// Closes all connections.
    pub async fn end(self) {
        for actor in self.actors {
            actor.client.shut_down().await;
        }
    }
}

impl Running {
    /// Lets every client finish what it is about.
    pub async fn stop(mut self) -> Workload {
        self.stop.store(true, Ordering::Relaxed);
        let mut actors = Vec::new();
        while let Some(actor) = self.tasks.join_next().await {
            actors.push(actor.unwrap());
        }
        actors.sort_by_key(|actor: &Actor| actor.number);
        Workload { board: self.board, actors }
    }
}

fn key_of(place: usize, number: usize) -> String {
    format!("{place}-{number}")
}

impl Board {
    fn key(&self, bucket: usize, place: usize) -> String {
        key_of(place, self.places.lock().unwrap()[bucket][place].0)
    }

    fn written(&self, bucket: usize, place: usize) {
        let (number, writes) = &mut self.places.lock().unwrap()[bucket][place];
        *writes += 1;
        if *writes >= WRITES_MAX {
            (*number, *writes) = (*number + 1, 0);
        }
    }
}

impl Actor {
    async fn step(&mut self, board: &Board) {
        let bucket = self.random.random_range(0..board.buckets.len());
        let place = self.random.random_range(0..PLACES);
        let name = board.key(bucket, place);
        let action = self.random.random_range(0..100);
        if action < 45 {
            self.get(board, bucket, &name).await;
            return;
        }
        let by_stamp = board.buckets[bucket].by_stamp;
        let siblings = self.known.get(&(bucket, name.clone())).map_or(0, |known| known.writes.len());
        let (replace, delete) = match action {
            45..60 => (Replace::Overwrite, false),
            60..63 => (Replace::Overwrite, !by_stamp),
            63..73 if siblings <= SIBLINGS_MAX => (Replace::Nothing, false),
            _ => match self.context(board, bucket, &name).await {
                Some(token) => (Replace::Context(token), action >= 94),
                None => return,
            },
        };
        board.written(bucket, place);
        self.put(board, bucket, &name, replace, delete).await;
    }

    /// The context of what it has last seen of the key; looks now if that was never.
    async fn context(&mut self, board: &Board, bucket: usize, name: &str) -> Option<ContextToken> {
        if !self.known.contains_key(&(bucket, name.to_string())) || self.random.random_bool(0.5) {
            self.get(board, bucket, name).await;
        }
        self.known.get(&(bucket, name.to_string())).map(|known| known.token.clone())
    }

    async fn get(&mut self, board: &Board, bucket: usize, name: &str) {
        let used = &board.buckets[bucket];
        let recorder = &board.recorder;
        let get = Get {
            client: self.number,
            entry: self.entry.map(|node| node + 1),
            bucket: used.name.clone(),
            key: name.to_string(),
            begin_us: recorder.now_us(),
            end_us: 0,
            owners: 0,
            last: false,
            values: None,
            error: None,
        };
        let asked = command::Get::new(&used.name, Key::try_from(name).unwrap());
        let result = self.client.get(asked.with_r(Quorum::Count(used.r as u8))).await;
        let writes = recorder.get(get, used.r, &result);
        if let Ok(answer) = result {
            self.known.insert((bucket, name.to_string()), Known { token: answer.context, writes });
        }
    }

    async fn put(&mut self, board: &Board, bucket: usize, name: &str, replace: Replace, delete: bool) {
        let used = &board.buckets[bucket];
        let write = board.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let known = (bucket, name.to_string());
        let replaces = match &replace {
            Replace::Overwrite => Replaces::Overwrite(None),
            Replace::Nothing => Replaces::Context(Vec::new()),
            Replace::Context(_) => Replaces::Context(
                self.known.get(&known).map(|known| known.writes.clone()).unwrap_or_default(),
            ),
        };
        let put = Put {
            write,
            client: self.number,
            entry: self.entry.map(|node| node + 1),
            bucket: used.name.clone(),
            key: name.to_string(),
            delete,
            replaces,
            begin_us: board.recorder.now_us(),
            end_us: 0,
            outcome: Outcome::Indeterminate,
            error: None,
            dot: None,
            owners: 0,
            stand_ins: 0,
            w: used.w,
            owners_read: 0,
        };
        let value = recorder::value(write);
        let asked = command::Put::new(&used.name, Key::try_from(name).unwrap(), value);
        let mut asked = command::Put { replace, ..asked }.with_w(Quorum::Count(used.w as u8));
        asked.options.r = Some(Quorum::Count(used.r as u8));
        if delete {
            asked.content = Content::Tombstone;
        }
        let result = self.client.put(asked).await;
        let outcome = board.recorder.put(put, used.r, &result);
        if let (Outcome::Applied, PutResult::Applied(applied)) = (outcome, result) {
            self.known.insert(known, Known { token: applied.context, writes: vec![write] });
        }
    }
}

/// The way to one node: the others are not there for a client that has it.
#[derive(Debug)]
struct Entry {
    transport: TarpcClient,
    address: String,
}

impl Entry {
    fn only(address: &str) -> Self {
        Entry { transport: TarpcClient::new(None, TarpcOptions::default()), address: address.into() }
    }
}

#[async_trait]
impl ClientTransport for Entry {
    async fn call(&self, address: &str, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        if address != self.address {
            let message = "this client has no way to that node".to_string();
            return Err(CallError::NotSent(ErrorKind::ConnectionFailed, message));
        }
        self.transport.call(address, frame, deadline).await
    }

    async fn shut_down(&self, grace: Duration) {
        self.transport.shut_down(grace).await;
    }
}
