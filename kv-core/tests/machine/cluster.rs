use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kv_core::bucket::{BucketProperties, BucketTable, QuorumMode};
use kv_core::causality::{Clock, ContextToken, PeerClocks, Stamp};
use kv_core::command::{Get, GetAnswer, Put, PutApplied, PutResult, Sibling};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{BucketId, ClusterId, Epoch, Incarnation, NodeId, TraceId};
use kv_core::key::{Key, StorageKey};
use kv_core::layout::{Layout, LayoutDraft, Member, Partitioning};
use kv_core::limits::Limits;
use kv_core::machine::{
    Admitted, CallToken, Door, Effect, Event, Life, MachineStats, NodeMachine, Outcome, PeerAnswer, resolve,
    show,
};
use kv_core::membership::PeerIdentity;
use kv_core::partitioner::Xxh3Partitioner;
use kv_core::record::{CellView, Record};
use kv_core::replica::{Epochs, Ledger, Mutation, apply, mark_replacement, open_store};
use kv_core::replication::HashRing;
use kv_core::storage::{Batch, Durability, Storage};
use kv_core::time::Now;
use kv_core::transport::{CallError, Sender};
use kv_core::tree::TreeId;
use kv_core::view::{ClusterSecret, Identity, Plugins, View};
use kv_core::wire::{
    AnswerBody, Header, RangeAnswer, RangeItem, ReadAnswer, RepairStatus, Request, RequestBody,
    decode_answer, decode_request, encode_answer, encode_request,
};

use crate::store::FaultyStore;

pub(crate) const CLUSTER: ClusterId = ClusterId(7);
pub(crate) const SECRET: [u8; 16] = *b"the test secret!";
const WALL_MS: u64 = 1_700_000_000_000;

/// What happens to requests on the way from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// They arrive, and their answers come back.
    Up,
    /// The sender knows at once that nothing was sent.
    Refused,
    /// They arrive and are carried out, and the connection breaks before the answer.
    AnswerLost,
    /// They vanish without a word.
    Silent,
    /// They arrive when the test says so.
    Slow,
    /// They arrive, and their answers come back three times.
    AnswersThrice,
    /// They arrive twice, and the answer to the first is the one that comes back.
    RequestsTwice,
}

/// Who waits for an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ticket {
    /// A client.
    Client(u64),
    /// A peer, for its call of that number.
    Call(u64),
    /// A peer that handed a put over.
    Forwarded(u64),
}

/// Parts of a node that a test can stop, so that time passes while they are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Reader,
    Resolver,
    Writer,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) view: View,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) peers: PeerClocks,
    pub(crate) wall_offset_ms: i64,
    /// Versions that resolvers let go as they arrived.
    pub(crate) discarded: u64,
    machine: NodeMachine<Ticket>,
    ledger: Ledger,
    clock: Arc<Clock>,
    incarnation: Incarnation,
    next_life: u64,
    mutations: Vec<Mutation<Ticket>>,
    stopped: Vec<Part>,
}

impl Node {
    fn read_range(&self, item: &RangeItem) -> RangeAnswer {
        kv_core::replica::read_range(&self.view, &*self.store, &self.ledger.partitions.epochs, item)
    }
}

#[derive(Debug)]
enum Message {
    Request { from: NodeId, to: NodeId, call: u64, frame: bytes::Bytes, copy: bool },
    Answer { to: NodeId, from: NodeId, call: u64, result: Result<bytes::Bytes, CallError> },
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Every request that a node sent to a peer.
    pub(crate) sent: Vec<(NodeId, NodeId, RequestBody)>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    messages: VecDeque<Message>,
    slow: Vec<Message>,
    /// Who called, what the call is for, and which way it went.
    calls: BTreeMap<u64, (NodeId, CallToken, Link)>,
    held: Vec<(NodeId, Effect<Ticket>)>,
    answers: BTreeMap<u64, Vec<AnswerBody>>,
    last_call: u64,
    last_client: u64,
    monotonic_us: u64,
}

pub(crate) fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

/// A process of `node`.
fn life(node: NodeId, process: Incarnation) -> Life {
    let identity = PeerIdentity { node, generation: process.0, address: format!("node-{node}:1") };
    Life { process, identity, seed: node.0 }
}

impl Cluster {
    /// Nodes 1 to `members` with the buckets that every cluster begins with.
    pub(crate) fn new(members: u64) -> Self {
        Self::with(members, Limits::default(), &[])
    }

    /// The same with other limits, and with more buckets.
    pub(crate) fn with(members: u64, limits: Limits, buckets: &[(&str, BucketProperties)]) -> Self {
        Self::with_quorums(members, limits, buckets, QuorumMode::Strict)
    }

    /// Nodes 1 to `members`, with sloppy quorums.
    pub(crate) fn sloppy(members: u64, limits: Limits) -> Self {
        Self::with_quorums(members, limits, &[], QuorumMode::Sloppy)
    }

    fn with_quorums(
        members: u64,
        limits: Limits,
        buckets: &[(&str, BucketProperties)],
        quorum: QuorumMode,
    ) -> Self {
        let draft = LayoutDraft {
            cluster: CLUSTER,
            members: (1..=members).map(|id| Member::new(NodeId(id), "")).collect(),
            partitioning: Partitioning::new(64).unwrap(),
            replicas: 3,
        };
        // Only where a test says so do nodes compare what they hold.
        let limits = Limits { repair_period_ms: 0, ..limits };
        let layout = Arc::new(Layout::first(draft, &Xxh3Partitioner, &HashRing::default()).unwrap().0);
        let mut table = BucketTable::default();
        for (index, (name, properties)) in buckets.iter().enumerate() {
            let id = BucketId(100 + index as u32);
            table.set(name, properties.clone(), id, Stamp(1), &limits).unwrap();
        }
        let all: Vec<_> =
            table.buckets().map(|(name, id, kept)| (name.to_string(), id, kept.clone())).collect();
        for (name, id, kept) in all {
            table.set(&name, BucketProperties { quorum, ..kept }, id, Stamp(2), &limits).unwrap();
        }
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            sent: Vec::new(),
            links: BTreeMap::new(),
            messages: VecDeque::new(),
            slow: Vec::new(),
            calls: BTreeMap::new(),
            held: Vec::new(),
            answers: BTreeMap::new(),
            last_call: 0,
            // Far from the numbers of calls.
            last_client: 1 << 32,
            monotonic_us: 1_000_000,
        };
        for id in (1..=members).map(NodeId) {
            let identity = Identity { cluster: CLUSTER, secret: ClusterSecret(SECRET), node: id };
            let plugins = Plugins::new(Xxh3Partitioner).with_combine("longest", |values| {
                let longest = values.iter().max_by_key(|value| (value.len(), **value));
                longest.map(|value| bytes::Bytes::copy_from_slice(value))
            });
            let view = View::new(identity, layout.clone(), table.clone(), plugins, limits.clone()).unwrap();
            let store = Arc::new(FaultyStore::default());
            let incarnation = Incarnation(id.0 << 32);
            let ledger = open_store(&*store, incarnation, cluster.now_plain()).unwrap();
            let others = (1..=members).map(NodeId).filter(|other| *other != id);
            let node = Node {
                peers: PeerClocks::new(others),
                machine: NodeMachine::new(limits.clone(), life(id, incarnation)),
                clock: ledger.minter.clock().clone(),
                wall_offset_ms: 0,
                discarded: 0,
                next_life: incarnation.0 + 1,
                mutations: Vec::new(),
                stopped: Vec::new(),
                view,
                store,
                ledger,
                incarnation,
            };
            cluster.nodes.insert(id, node);
        }
        cluster
    }

    fn now_plain(&self) -> Now {
        Now { monotonic_us: self.monotonic_us, wall_ms: WALL_MS + self.monotonic_us / 1_000 }
    }

    /// The time at `node`.
    pub(crate) fn now(&self, node: NodeId) -> Now {
        let now = self.now_plain();
        let offset = self.nodes.get(&node).map_or(0, |node| node.wall_offset_ms);
        Now { wall_ms: now.wall_ms.saturating_add_signed(offset), ..now }
    }

    /// The owners of `key` in the bucket `default`, in the order of preference.
    pub(crate) fn owners(&self, key: &Key) -> Vec<NodeId> {
        let view = &self.nodes[&NodeId(1)].view;
        view.owners(view.bucket("default").unwrap(), view.token(key)).to_vec()
    }

    /// The nodes that do not own `key`.
    pub(crate) fn others(&self, key: &Key) -> Vec<NodeId> {
        let owners = self.owners(key);
        self.nodes.keys().copied().filter(|node| !owners.contains(node)).collect()
    }

    /// A key that `node` owns first.
    pub(crate) fn key_of(&self, node: NodeId) -> Key {
        let mut keys = (0..1_000).map(|number| key(&format!("key {number}")));
        keys.find(|key| self.owners(key)[0] == node).unwrap()
    }

    pub(crate) fn link(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Lets requests from and to `node` go that way.
    pub(crate) fn isolate(&mut self, node: NodeId, link: Link) {
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.link(node, other, link);
            self.link(other, node, link);
        }
    }

    pub(crate) fn stop(&mut self, node: NodeId, part: Part) {
        self.nodes.get_mut(&node).unwrap().stopped.push(part);
    }

    /// Lets every part that was stopped go on with what it held back.
    pub(crate) fn go_on(&mut self) {
        for node in self.nodes.values_mut() {
            node.stopped.clear();
        }
        for (node, effect) in std::mem::take(&mut self.held) {
            self.carry_out(node, effect);
        }
        self.run();
    }

    /// Lets what is on slow links arrive.
    pub(crate) fn release(&mut self) {
        self.messages.extend(std::mem::take(&mut self.slow));
        self.run();
    }

    pub(crate) fn stats(&self, node: NodeId) -> MachineStats {
        self.nodes[&node].machine.stats().clone()
    }

    /// How a node compares what it holds.
    pub(crate) fn repair_status(&self, node: NodeId) -> RepairStatus {
        self.nodes[&node].machine.repair_status()
    }

    /// The epochs of a node's partitions.
    pub(crate) fn epochs(&self, node: NodeId) -> &Epochs {
        &self.nodes[&node].ledger.partitions.epochs
    }

    /// Has a node's writer look after epochs.
    pub(crate) fn turn(&mut self, node: NodeId) {
        self.nodes.get_mut(&node).unwrap().mutations.push(Mutation::Turn);
        self.run();
    }

    /// Puts a partition into an epoch, as if it had gone there with everything that is in it.
    pub(crate) fn set_epoch(&mut self, node: NodeId, tree: TreeId, epoch: Epoch) {
        let node = self.nodes.get_mut(&node).unwrap();
        node.ledger.partitions.epochs.go_to(tree, epoch);
    }

    /// What a node answers to a request of `peer`.
    pub(crate) fn ask_as_peer(&mut self, node: NodeId, peer: NodeId, body: RequestBody) -> AnswerBody {
        let header = self.door(peer).header(self.now(peer));
        let client = self.submit(node, Sender::Peer(peer), Request { header, body });
        self.run();
        self.told(client).expect("an answer").clone()
    }

    /// Ends the process of a node and begins another over the same store.
    pub(crate) fn restart(&mut self, id: NodeId) {
        let now = self.now(id);
        let node = self.nodes.get_mut(&id).unwrap();
        node.incarnation = Incarnation(node.next_life);
        node.next_life += 1;
        node.ledger = open_store(&*node.store, node.incarnation, now).unwrap();
        node.clock = node.ledger.minter.clock().clone();
        node.machine = NodeMachine::new(node.view.limits.clone(), life(id, node.incarnation));
        node.mutations.clear();
    }

    /// Ends the process of a node, loses its store, and begins another over a new one.
    pub(crate) fn lose(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let store = Arc::new(FaultyStore::default());
        mark_replacement(&*store, &node.view.replicated()).unwrap();
        node.store = store;
        self.restart(id);
    }

    /// Operations of all nodes together that clients or peers wait for.
    pub(crate) fn waiting(&self) -> usize {
        self.nodes.values().map(|node| node.machine.waiting()).sum()
    }

    /// Has a node's writer remove a range of keys.
    pub(crate) fn remove(&mut self, node: NodeId, range: std::ops::Range<Vec<u8>>) {
        let reply = Ticket::Client(u64::MAX);
        self.nodes.get_mut(&node).unwrap().mutations.push(Mutation::Remove { range, reply });
        self.run();
    }

    pub(crate) fn record_puts(&self) -> usize {
        self.nodes.values().map(|node| node.store.record_puts()).sum()
    }

    pub(crate) fn door(&self, node: NodeId) -> Door<'_> {
        let node = &self.nodes[&node];
        Door {
            view: &node.view,
            clock: &node.clock,
            peers: &node.peers,
            incarnation: node.incarnation,
            store: &*node.store,
            partitions: &node.ledger.partitions,
        }
    }

    /// Lets `millis` pass without telling the nodes: what arrives next is handled before the timers that have run out.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.monotonic_us += millis * 1_000;
    }

    /// Lets as much time pass as a damage waits to be healed after a get has seen it, and not more.
    pub(crate) fn settle(&mut self) {
        self.advance(Limits::default().deadline_ms_max);
    }

    /// Lets `millis` pass.
    pub(crate) fn advance(&mut self, millis: u64) {
        self.pass(millis);
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.handle(node, Event::Tick);
        }
        self.run();
    }

    /// The header of a client's request.
    pub(crate) fn client_header() -> Header {
        Header {
            cluster: ClusterId(0),
            layout: 0,
            incarnation: Incarnation(0),
            clock: Stamp(0),
            buckets: 0,
            trace: TraceId::NONE,
        }
    }

    /// Sends a request to `node` as somebody outside the cluster or another node would, without running the cluster.
    pub(crate) fn submit(&mut self, node: NodeId, sender: Sender, request: Request) -> u64 {
        self.last_client += 1;
        let ticket = match request.body {
            RequestBody::Forward(_) => Ticket::Forwarded(self.last_client),
            _ => Ticket::Client(self.last_client),
        };
        self.admit(node, sender, request, ticket);
        self.last_client
    }

    /// Begins a client's request and runs the cluster until nothing moves.
    pub(crate) fn start(&mut self, node: NodeId, body: RequestBody) -> u64 {
        let request = Request { header: Self::client_header(), body };
        let client = self.submit(node, Sender::Client, request);
        self.run();
        client
    }

    /// What the client was told, if it was.
    pub(crate) fn told(&self, client: u64) -> Option<&AnswerBody> {
        let answers = self.answers.get(&client)?;
        assert_eq!(answers.len(), 1, "a client is told once: {answers:?}");
        answers.first()
    }

    pub(crate) fn ask(&mut self, node: NodeId, body: RequestBody) -> AnswerBody {
        let client = self.start(node, body);
        self.told(client).expect("an answer").clone()
    }

    pub(crate) fn try_get(&mut self, node: NodeId, get: Get) -> Result<GetAnswer, Error> {
        match self.ask(node, RequestBody::Get(get)) {
            AnswerBody::Get(result) => result,
            other => panic!("not the answer to a get: {other:?}"),
        }
    }

    pub(crate) fn get(&mut self, node: NodeId, get: Get) -> GetAnswer {
        self.try_get(node, get).unwrap()
    }

    /// The values of `key` in the bucket `default` as a get at `node` finds them, in order.
    pub(crate) fn values(&mut self, node: NodeId, key: &Key) -> Vec<String> {
        let answer = self.get(node, Get::new("default", key.clone()));
        texts(&answer.values)
    }

    pub(crate) fn try_put(&mut self, node: NodeId, put: Put) -> PutResult {
        match self.ask(node, RequestBody::Put(put)) {
            AnswerBody::Put(result) => result,
            other => panic!("not the answer to a put: {other:?}"),
        }
    }

    pub(crate) fn put(&mut self, node: NodeId, put: Put) -> PutApplied {
        match self.try_put(node, put) {
            PutResult::Applied(applied) => applied,
            other => panic!("not applied: {other:?}"),
        }
    }

    /// What the store of `node` holds of `key` in the bucket `default`: none if nothing, an error if it is damaged or recovering.
    pub(crate) fn held(&self, node: NodeId, key: &Key) -> Result<Option<Record>, ErrorKind> {
        let node = &self.nodes[&node];
        let bucket = BucketId::DEFAULT;
        let storage_key = StorageKey::new(bucket, node.view.token(key), key.as_bytes());
        let mut bytes = Vec::new();
        if !node.store.get(storage_key.as_bytes(), &mut bytes).unwrap() {
            return Ok(None);
        }
        let cell = CellView::decode(&bytes, storage_key.as_bytes(), bucket, key);
        let cell = cell.map_err(|_| ErrorKind::Damaged)?;
        match cell.recovering {
            Some(_) => Err(ErrorKind::Recovering),
            None => Ok(Some(cell.record().decode().unwrap())),
        }
    }

    /// Flips a bit in what the store of `node` holds of `key` in the bucket `default`.
    pub(crate) fn damage(&mut self, node: NodeId, key: &Key) {
        self.damage_in("default", node, key);
    }

    /// The same in another bucket.
    pub(crate) fn damage_in(&mut self, bucket: &str, node: NodeId, key: &Key) {
        let node = self.nodes.get_mut(&node).unwrap();
        let bucket = node.view.bucket(bucket).unwrap().id;
        let storage_key = StorageKey::new(bucket, node.view.token(key), key.as_bytes());
        let mut bytes = Vec::new();
        assert!(node.store.get(storage_key.as_bytes(), &mut bytes).unwrap(), "nothing to damage");
        *bytes.last_mut().unwrap() ^= 1;
        let mut batch = Batch::new();
        batch.put(storage_key.as_bytes(), &[&bytes]);
        node.store.write(&batch, Durability::Synced).unwrap();
    }

    /// The dots that a sealed context of `key` in the bucket `default` covers.
    pub(crate) fn open(&self, token: &ContextToken, key: &Key) -> kv_core::causality::DotSet {
        token.open(&SECRET, BucketId::DEFAULT, key).unwrap().dots
    }

    /// Lets everything happen that can happen without time.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            let busy = |node: &Node| !node.mutations.is_empty() && !node.stopped.contains(&Part::Writer);
            let writer = self.nodes.iter().find(|(_, node)| busy(node)).map(|(id, _)| *id);
            if let Some(message) = self.messages.pop_front() {
                self.deliver(message);
            } else if let Some(node) = writer {
                self.commit(node);
            } else {
                return;
            }
        }
        panic!("the cluster never comes to rest");
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Request { from, to, call, frame, copy } => {
                let request = decode_request(&frame).unwrap();
                let ticket = match (&request.body, copy) {
                    (_, true) => Ticket::Call(0),
                    (RequestBody::Forward(_), _) => Ticket::Forwarded(call),
                    _ => Ticket::Call(call),
                };
                self.admit(to, Sender::Peer(from), request, ticket);
            }
            Message::Answer { to, from, call, result } => {
                let Some((_, token, link)) = self.calls.get(&call).cloned() else { return };
                let result = result.map(|frame| decode_answer(&frame).unwrap());
                if let Ok(answer) = &result {
                    self.door(to).hear(Sender::Peer(from), &answer.header, self.now(to));
                }
                let result = result
                    .map(|answer| PeerAnswer { incarnation: answer.header.incarnation, body: answer.body });
                let times = if link == Link::AnswersThrice { 3 } else { 1 };
                for _ in 0..times {
                    let (token, result) = (token.clone(), result.clone());
                    self.handle(to, Event::Answer { token, peer: from, took_us: 100, result });
                }
            }
        }
    }

    fn admit(&mut self, node: NodeId, sender: Sender, request: Request, ticket: Ticket) {
        match self.door(node).admit(self.now(node), sender, request, ticket) {
            Admitted::Answered(ticket, body) => self.reply(node, ticket, body),
            Admitted::Run(event) => self.handle(node, event),
            Admitted::Noted(ticket, event) => {
                self.reply(node, ticket, AnswerBody::Done);
                self.handle(node, event);
            }
            Admitted::Mutate(mutation) => self.nodes.get_mut(&node).unwrap().mutations.push(mutation),
            Admitted::Administer(ticket, _) => {
                let error = Error::new(ErrorKind::Unsupported, "there is no administration here");
                self.reply(node, ticket, AnswerBody::Refused(error));
            }
        }
    }

    pub(crate) fn handle(&mut self, node: NodeId, event: Event<Ticket>) {
        let now = self.now(node);
        let mut effects = Vec::new();
        let target = self.nodes.get_mut(&node).unwrap();
        target.machine.handle(&target.view, now, event, &mut effects);
        for effect in effects {
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect<Ticket>) {
        let part = match &effect {
            Effect::Read(_) => Some(Part::Reader),
            Effect::Resolve(_) => Some(Part::Resolver),
            _ => None,
        };
        let node = self.nodes.get_mut(&id).unwrap();
        if part.is_some_and(|part| node.stopped.contains(&part)) {
            return self.held.push((id, effect));
        }
        match effect {
            Effect::Read(reads) => {
                for read in reads {
                    let node = &self.nodes[&id];
                    let epochs = &node.ledger.partitions.epochs;
                    let (view, store) = (&node.view, &*node.store);
                    let answer = kv_core::replica::read(view, store, epochs, &read.item, &mut Vec::new());
                    self.handle(id, Event::Read(read.op, answer));
                }
            }
            Effect::Resolve(request) => {
                let result = Box::new(resolve(&request));
                self.handle(id, Event::Resolved(request.op, result));
            }
            Effect::ReadRange(op, item) => {
                let answer = node.read_range(&item);
                self.handle(id, Event::Range(op, answer));
            }
            Effect::ReadCopies(after) => {
                let page = kv_core::replica::read_copies(&*node.store, after.as_deref());
                self.handle(id, Event::Copies(page));
            }
            Effect::ReadTrees(step, ids) => {
                let ours = node.ledger.partitions.ours(&ids);
                self.handle(id, Event::Trees(step, ours));
            }
            Effect::ReadToClear(step) => {
                let items = node.ledger.partitions.epochs.to_clear(&node.view);
                self.handle(id, Event::ToClear(step, items));
            }
            Effect::Cleared(items) => {
                items.iter().for_each(|item| node.ledger.partitions.epochs.cleared(*item));
            }
            Effect::Heard(tree, theirs) => node.ledger.partitions.epochs.heard(tree, theirs),
            Effect::Met(meeting) => node.ledger.partitions.epochs.met(&node.view, meeting),
            Effect::List(step, item) => {
                let answer = node.read_range(&item);
                self.handle(id, Event::Listed(step, answer));
            }
            Effect::Show(request) => self.handle(id, Event::Shown(request.op, show(&request))),
            Effect::Mutate(mutation) => node.mutations.push(mutation),
            Effect::Complete { ticket, outcome } => {
                let body = Outcome::into_answer(outcome, matches!(ticket, Ticket::Forwarded(_)));
                self.reply(id, ticket, body);
            }
            // Who is there is not what these tests are about.
            Effect::Call { token: CallToken::Gossip, .. } | Effect::Moved(..) => {}
            Effect::Call { peer, body, timeout_us, token, trace: _ } => {
                assert!(timeout_us > 0, "a call without time");
                self.call(id, peer, body, token);
            }
        }
    }

    fn call(&mut self, from: NodeId, to: NodeId, body: RequestBody, token: CallToken) {
        assert_ne!(from, to, "a node never calls itself");
        self.sent.push((from, to, body.clone()));
        self.last_call += 1;
        let call = self.last_call;
        let link = self.links.get(&(from, to)).copied().unwrap_or(Link::Up);
        self.calls.insert(call, (from, token, link));
        let header = self.door(from).header(self.now(from));
        let frame = encode_request(&Request { header, body });
        if link == Link::Refused {
            let result = Err(CallError::NotSent(ErrorKind::ConnectionFailed, "refused".into()));
            self.messages.push_back(Message::Answer { to: from, from: to, call, result });
        } else if link != Link::Silent {
            let request = Message::Request { from, to, call, frame: frame.clone(), copy: false };
            if link == Link::Slow { self.slow.push(request) } else { self.messages.push_back(request) }
        }
        if link == Link::RequestsTwice {
            self.messages.push_back(Message::Request { from, to, call, frame, copy: true });
        }
    }

    fn reply(&mut self, node: NodeId, ticket: Ticket, body: AnswerBody) {
        let call = match ticket {
            Ticket::Client(client) => return self.answers.entry(client).or_default().push(body),
            Ticket::Forwarded(call) | Ticket::Call(call) => call,
        };
        let Some((to, _, link)) = self.calls.get(&call) else {
            // A peer that the test plays itself.
            return self.answers.entry(call).or_default().push(body);
        };
        let (to, lost) = (*to, *link == Link::AnswerLost);
        let frame = encode_answer(&self.door(node).answer(self.now(node), body));
        let from = node;
        let result = if lost {
            Err(CallError::NoAnswer(ErrorKind::ConnectionLost, "the connection broke".into()))
        } else {
            Ok(frame)
        };
        self.messages.push_back(Message::Answer { to, from, call, result });
    }

    /// What a writer does with what has gathered in its queue.
    fn commit(&mut self, id: NodeId) {
        let now = self.now(id);
        let node = self.nodes.get_mut(&id).unwrap();
        let mutations = std::mem::take(&mut node.mutations);
        if node.ledger.minter.incarnation().is_none() {
            let _ = node.ledger.minter.revive(&*node.store, Incarnation(node.next_life));
            node.next_life += 1;
        }
        node.incarnation = node.ledger.minter.incarnation().unwrap_or(Incarnation(0));
        node.ledger.space.note(node.store.stats().unwrap().bytes_free, &node.view.limits);
        let mut applied = apply(&*node.store, &node.view, &mut node.ledger, now, mutations);
        node.discarded += applied.discarded;
        let minted = std::mem::take(&mut applied.minted);
        if !minted.is_empty() {
            self.handle(id, Event::Minted(minted));
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let result = match applied.batch.is_empty() {
            true => Ok(()),
            false => node.store.write(&applied.batch, applied.durability),
        };
        let incarnation = node.incarnation;
        let achieved = applied.achieved;
        let finished = applied.finish(&result, &mut node.ledger);
        if !finished.ops.is_empty() {
            self.handle(id, Event::Committed(finished.ops, incarnation, result.map(|()| achieved)));
        }
        if !finished.refused.is_empty() {
            self.handle(id, Event::Refused(finished.refused));
        }
        if finished.has_work || finished.recovers {
            let turned = Event::Turned { has_work: finished.has_work, recovers: finished.recovers };
            self.handle(id, turned);
        }
        for (ticket, clear) in finished.promises {
            self.reply(id, ticket, AnswerBody::Cleared(clear));
        }
        for (ticket, counts) in finished.counts {
            self.reply(id, ticket, AnswerBody::Counted(counts));
        }
        for (ticket, answers) in finished.replies {
            self.reply(id, ticket, AnswerBody::Write(answers));
        }
    }

    /// The records that `node` was asked for in a read of one key, as a peer is answered.
    pub(crate) fn read_as_peer(
        &mut self,
        node: NodeId,
        from: NodeId,
        items: Vec<kv_core::wire::ReadItem>,
    ) -> Vec<ReadAnswer> {
        let header = self.door(from).header(self.now(from));
        let request = Request { header, body: RequestBody::Read(items) };
        let client = self.submit(node, Sender::Peer(from), request);
        match self.told(client) {
            Some(AnswerBody::Read(answers)) => answers.clone(),
            other => panic!("not the answer to a read: {other:?}"),
        }
    }
}

/// The values as text, in order.
pub(crate) fn texts(siblings: &[Sibling]) -> Vec<String> {
    let text = |sibling: &Sibling| String::from_utf8(sibling.value.to_vec()).unwrap();
    let mut texts: Vec<String> = siblings.iter().map(text).collect();
    texts.sort();
    texts
}
