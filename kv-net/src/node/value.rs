use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use kv_core::causality::Stamp;
use kv_core::command::{Get, GetAnswer, GetMany, Put, PutMany, PutResult, Scan, ScanAnswer};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{Incarnation, TraceId};
use kv_core::key::STAND_IN_PREFIX_BYTES;
use kv_core::machine::{Event, Life, NodeMachine, Outcome, local_get, prepare};
use kv_core::membership::PeerIdentity;
use kv_core::replica::{Membership, Mutation, StoreIdentity, open_store, store_layout, store_table};
use kv_core::time::Now;
use kv_core::transport::Transport;
use kv_core::view::View;
use kv_core::wire::{AnswerBody, BucketChange, ClusterInfo, NodeStatus, RequestBody};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use crate::node::commits::CommitFigures;
use crate::node::figures::NodeFigures;
use crate::node::handler::NodeHandler;
use crate::node::live::Live;
use crate::node::local_gets::LocalGets;
use crate::node::peer_states::PeerStates;
use crate::node::pending::{PendingPut, internal};
use crate::node::queue::MutationQueue;
use crate::node::refusals::Refusals;
use crate::node::shared::{Shared, wall_ms};
use crate::node::spans::{self, Tracer};
use crate::node::sweep::sweep;
use crate::node::ticket::Ticket;
use crate::node::writer::Writer;
use crate::node::{NodeConfig, space, timer};
use crate::transport::{AddressBook, Identity};

std::thread_local! {
    /// Scratch space for reads that are answered on the spot.
    static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A node in this process: serves its peers and clients over its transport, and this process by its methods.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    writer: Mutex<Option<Writer>>,
}

impl Node {
    /// Opens the store in a new incarnation and begins to serve. A node whose store belongs to no cluster waits to be asked to join one, or
    /// for [`Node::init`].
    ///
    /// To be awaited in a tokio runtime with time enabled, on which the node then runs. `identity` and `addresses` are those of `transport`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongIdentity`] if the store is another node's, [`ErrorKind::IncompatibleFormat`] if a newer release wrote it,
    /// [`ErrorKind::InvalidConfiguration`] for bounds that contradict each other, and what the store and the transport say.
    pub async fn start(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        identity: Arc<Identity>,
        addresses: Arc<AddressBook>,
    ) -> Result<Node, Error> {
        config.limits.check(config.replicas.into())?;
        check_keys_fit(&config)?;
        let view = stored_view(&config)?;
        let shared_started = Instant::now();
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = Now { monotonic_us: 0, wall_ms: wall.as_millis() as u64 };
        let ledger = open_store(&*config.store, Incarnation(rand::random()), now)?;
        let life = Life {
            process: Incarnation(rand::random()),
            identity: peer_identity(&config, view.as_ref(), ledger.minter.clock().read(now.wall_ms)),
            seed: rand::random(),
        };
        let shared = Arc::new(Shared {
            machine: Mutex::new(NodeMachine::new(config.limits.clone(), life)),
            clock: ledger.minter.clock().clone(),
            stand_ins: ledger.stand_ins.clone(),
            partitions: ledger.partitions.clone(),
            space: ledger.space.clone(),
            written_unseen: AtomicU64::new(0),
            incarnation: AtomicU64::new(0),
            versions_discarded: AtomicU64::new(0),
            tracer: Tracer::new(config.node, config.trace_sample),
            local_gets: LocalGets::new(),
            refusals: Refusals::default(),
            commits: Mutex::new(CommitFigures::new()),
            queue: MutationQueue::new(config.limits.mutations_max),
            config,
            transport,
            identity,
            addresses,
            runtime: Handle::current(),
            live: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            stopped: watch::Sender::new(None),
            timer: Notify::new(),
            timer_sleeps: AtomicBool::new(false),
            peer_states: PeerStates::default(),
            administration: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            synchronising: AtomicBool::new(false),
            sweeping: tokio::sync::Mutex::new(()),
            greeted: AtomicBool::new(view.is_none()),
            started: shared_started,
        });
        shared.set_incarnation(ledger.minter.incarnation().unwrap_or(Incarnation(0)));
        if let Some(view) = view {
            shared.install(view);
        }
        shared.look_at_space();
        let writer = Writer::spawn(shared.clone(), ledger).map_err(|error| {
            Error::new(ErrorKind::Internal, "the writer cannot be started").with_source(error)
        })?;
        tokio::spawn(timer::run(shared.clone()));
        tokio::spawn(space::watch(Arc::downgrade(&shared)));
        let node = Node { shared, writer: Mutex::new(Some(writer)) };
        let handler = Arc::new(NodeHandler(Arc::downgrade(&node.shared)));
        if let Err(error) = node.shared.transport.start(handler).await {
            node.shared.queue.close();
            return Err(error);
        }
        if let Some(live) = node.shared.live.load_full() {
            let shared = node.shared.clone();
            tokio::spawn(async move {
                shared.greet(&live).await;
                if shared.partitions.epochs.figures(&live.view).recovering > 0 {
                    shared.recover(&live);
                }
            });
            tokio::spawn(sweep(node.shared.clone()));
        }
        Ok(node)
    }

    /// Makes version 1 of the layout from the configured members, and has them join.
    ///
    /// # Errors
    ///
    /// Names the member that does not join and why; may be repeated.
    pub async fn init(&self) -> Result<ClusterInfo, Error> {
        match self.shared.administer(kv_core::transport::Sender::Client, RequestBody::Init).await {
            AnswerBody::Cluster(info) => Ok(*info),
            AnswerBody::Refused(error) => Err(error),
            _ => Err(internal()),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// What is wrong with the command, or why too few replicas answered.
    pub async fn get(&self, get: Get) -> Result<GetAnswer, Error> {
        let span = self.shared.tracer.operation("get", &get.bucket);
        let result = self.get_within(get, span.trace()).await;
        span.end(|| spans::of_get(&result));
        result
    }

    async fn get_within(&self, get: Get, trace: TraceId) -> Result<GetAnswer, Error> {
        let (live, get) = self.prepare(|live| prepare::get(&live.view, get))?;
        if !self.shared.config.store.capabilities().reads_may_block {
            let store = &*self.shared.config.store;
            let begun = self.shared.local_gets.begin();
            let epochs = &self.shared.partitions.epochs;
            let served =
                BUFFER.with_borrow_mut(|buffer| local_get(&live.view, store, epochs, &get, wall_ms, buffer));
            if let Some(result) = served {
                if let Ok(answer) = &result {
                    self.shared.local_gets.served(begun, answer.values.len());
                }
                return result;
            }
        }
        match self.run(&live, |ticket| Event::Get(ticket, get.traced(trace))).await {
            Some(Outcome::Get(result)) => result,
            _ => Err(internal()),
        }
    }

    /// Writes or deletes a key.
    pub async fn put(&self, put: Put) -> PutResult {
        self.begin_put(put).await
    }

    /// Begins to write or delete a key, at once: what is returned need not be awaited for the write to happen.
    pub fn begin_put(&self, put: Put) -> PendingPut {
        let span = self.shared.tracer.operation("put", &put.bucket);
        let now = self.shared.now();
        let (live, put) = match self.prepare(|live| prepare::put(&live.view, &live.peers, now, put)) {
            Ok(prepared) => prepared,
            Err(error) => return PendingPut::refused(span, PutResult::NotApplied(error)),
        };
        let (waiter, outcome) = oneshot::channel();
        let event = Event::Put(Ticket::Local(waiter), put.traced(span.trace()));
        self.shared.drive_at(now, &live, event);
        PendingPut::waits(span, outcome)
    }

    /// Reads many keys, each for itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the command as a whole.
    pub async fn get_many(&self, get: GetMany) -> Result<Vec<Result<GetAnswer, Error>>, Error> {
        let span = self.shared.tracer.operation("get_many", &get.bucket);
        let (live, gets) = match self.prepare(|live| prepare::get_many(&live.view, get)) {
            Ok(prepared) => prepared,
            Err(error) => {
                span.end(|| error.kind().name());
                return Err(error);
            }
        };
        let gets = prepare::traced_gets(gets, span.trace());
        let result = match self.run(&live, |ticket| Event::GetMany(ticket, gets)).await {
            Some(Outcome::GetMany(results)) => Ok(results),
            _ => Err(internal()),
        };
        span.end(|| spans::of_get(&result));
        result
    }

    /// Writes many keys, each for itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the command as a whole; nothing was written.
    pub async fn put_many(&self, put: PutMany) -> Result<Vec<PutResult>, Error> {
        let span = self.shared.tracer.operation("put_many", &put.bucket);
        let (count, now) = (put.puts.len(), self.shared.now());
        let (live, puts) = match self.prepare(|live| prepare::put_many(&live.view, &live.peers, now, put)) {
            Ok(prepared) => prepared,
            Err(error) => {
                span.end(|| error.kind().name());
                return Err(error);
            }
        };
        let puts = prepare::traced_puts(puts, span.trace());
        let results = match self.run_at(now, &live, |ticket| Event::PutMany(ticket, puts)).await {
            Some(Outcome::PutMany(results)) => results,
            _ => (0..count).map(|_| PutResult::Indeterminate(internal())).collect(),
        };
        span.end(|| "answered");
        Ok(results)
    }

    /// Reads a page of keys: of the first part of the range that one set of nodes owns, so that there may be few or none, and more behind
    /// them.
    ///
    /// # Errors
    ///
    /// What is wrong with the command, or why too few replicas answered.
    pub async fn scan(&self, scan: Scan) -> Result<ScanAnswer, Error> {
        let span = self.shared.tracer.operation("scan", &scan.bucket);
        let (live, scan) = match self.prepare(|live| prepare::scan(&live.view, scan)) {
            Ok(prepared) => prepared,
            Err(error) => {
                span.end(|| error.kind().name());
                return Err(error);
            }
        };
        let scan = scan.traced(span.trace());
        let result = match self.run(&live, |ticket| Event::Scan(ticket, scan)).await {
            Some(Outcome::Scan(result)) => result,
            _ => Err(internal()),
        };
        span.end(|| spans::of_get(&result));
        result
    }

    /// Changes the bucket table of the cluster.
    ///
    /// # Errors
    ///
    /// What is wrong with the change; [`ErrorKind::Unavailable`] if most members have not taken it yet.
    pub async fn change_bucket(&self, change: BucketChange) -> Result<(), Error> {
        let body = RequestBody::ChangeBucket(change);
        match self.shared.administer(kv_core::transport::Sender::Client, body).await {
            AnswerBody::Done => Ok(()),
            AnswerBody::Refused(error) => Err(error),
            _ => Err(internal()),
        }
    }

    /// Whether the node knows a bucket of that name.
    pub fn has_bucket(&self, name: &str) -> bool {
        self.shared.live.load().as_ref().is_some_and(|live| live.view.table().get(name).is_some())
    }

    /// What the node has to know of its cluster to take its place again with an empty store, if it belongs to one.
    pub fn membership(&self) -> Option<Membership> {
        let live = self.shared.live.load_full()?;
        let (layout, table) = (live.view.layout.clone(), live.view.table().clone());
        Some(Membership { identity: live.view.identity.clone(), layout, table })
    }

    /// Waits until that may have changed since this was awaited last.
    pub async fn membership_changed(&self) {
        self.shared.changed.notified().await;
    }

    /// How the node is.
    pub fn status(&self) -> NodeStatus {
        self.shared.status()
    }

    /// What the node did and how it is, for its metrics ([`crate::metrics`]).
    pub fn figures(&self) -> NodeFigures {
        self.shared.figures(self.is_ready().is_ok())
    }

    /// Whether the node does its work.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn is_ready(&self) -> Result<(), String> {
        if self.shared.draining.load(Ordering::Acquire) {
            return Err("shutting down".into());
        }
        match self.shared.trouble() {
            trouble if !trouble.is_empty() => Err(trouble),
            _ if !self.shared.greeted.load(Ordering::Acquire) => Err("calling the other members".into()),
            _ => Ok(()),
        }
    }

    /// Waits until the node had to stop for good, and says why.
    pub async fn stopped(&self) -> Error {
        let mut stopped = self.shared.stopped.subscribe();
        let reason = stopped.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_else(internal)
    }

    /// Refuses new operations, lets those under way finish within `grace`, and closes everything. What was acknowledged is stored.
    pub async fn shut_down(&self, grace: Duration) {
        let end = Instant::now() + grace;
        self.shared.draining.store(true, Ordering::Release);
        while Instant::now() < end {
            let idle = self.shared.machine.lock().waiting() == 0 && self.shared.queue.keys() == 0;
            if idle {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if let Some(live) = self.shared.live.load_full() {
            self.shared.drive(&live, Event::Leave);
        }
        // So that nothing has to be counted at the next start.
        let _ = self.shared.queue.push(Mutation::Checkpoint { trees_max: usize::MAX });
        self.shared.transport.shut_down(end.saturating_duration_since(Instant::now())).await;
        self.shared.queue.close();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            writer.join().await;
        }
        let store = self.shared.config.store.clone();
        let synced = tokio::task::spawn_blocking(move || store.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::error!(%error, "the store could not be synchronised");
        }
        let error = Error::new(ErrorKind::ShuttingDown, "the node was shut down");
        self.shared.stopped.send_if_modified(|stopped| stopped.replace(error).is_none());
    }

    /// Checks a command before it becomes an operation.
    fn prepare<P>(&self, check: impl FnOnce(&Live) -> Result<P, Error>) -> Result<(Arc<Live>, P), Error> {
        let open = self.shared.open_for_operations();
        self.shared.refusals.noted(open.and_then(|live| {
            let prepared = check(&live)?;
            Ok((live, prepared))
        }))
    }

    async fn run(&self, live: &Arc<Live>, event: impl FnOnce(Ticket) -> Event<Ticket>) -> Option<Outcome> {
        self.run_at(self.shared.now(), live, event).await
    }

    async fn run_at(
        &self,
        now: Now,
        live: &Arc<Live>,
        event: impl FnOnce(Ticket) -> Event<Ticket>,
    ) -> Option<Outcome> {
        let (waiter, outcome) = oneshot::channel();
        self.shared.drive_at(now, live, event(Ticket::Local(waiter)));
        outcome.await.ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The writer works off what is there and ends; nobody is left to wait for it.
        self.shared.draining.store(true, Ordering::Release);
        self.shared.queue.close();
        let error = Error::new(ErrorKind::ShuttingDown, "the node was dropped");
        self.shared.stopped.send_if_modified(|stopped| {
            let running = stopped.is_none();
            if running {
                *stopped = Some(error);
            }
            running
        });
    }
}

/// A store that refuses a key refuses its whole batch, so none that the node lets in may be too long for it.
fn check_keys_fit(config: &NodeConfig) -> Result<(), Error> {
    let (most, key) = (config.store.capabilities().key_bytes_max, config.limits.key_bytes_max);
    if key + STAND_IN_PREFIX_BYTES > most {
        return Err(Error::new(
            ErrorKind::InvalidConfiguration,
            format!(
                "key_bytes_max is {key}, the store takes keys of {most} bytes less {STAND_IN_PREFIX_BYTES}"
            ),
        ));
    }
    Ok(())
}

/// How gossip names this process. `start` is above that of every earlier process of this store.
fn peer_identity(config: &NodeConfig, view: Option<&View>, start: Stamp) -> PeerIdentity {
    let in_layout =
        view.and_then(|view| view.layout.member(config.node)).map(|member| member.address.clone());
    let given = Some(config.address.clone()).filter(|address| !address.is_empty());
    PeerIdentity { node: config.node, generation: start.0, address: given.or(in_layout).unwrap_or_default() }
}

/// The view that the store was left with, if it belongs to a cluster.
fn stored_view(config: &NodeConfig) -> Result<Option<View>, Error> {
    let store = &*config.store;
    let Some(identity) = StoreIdentity::read(store)?.identity else { return Ok(None) };
    if identity.node != config.node {
        return Err(Error::new(
            ErrorKind::WrongIdentity,
            format!(
                "the data directory belongs to node {}, the configuration says node {}: point the node at its own data, or mend the id",
                identity.node, config.node
            ),
        ));
    }
    let layout = store_layout(store)?.ok_or_else(|| {
        Error::new(ErrorKind::StorageUnusable, "the store has an identity but no layout: it is damaged")
    })?;
    let table = store_table(store)?;
    let plugins = config.plugins.clone();
    View::new(identity, Arc::new(layout), table, plugins, config.limits.clone()).map(Some)
}
