use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::bucket::BucketTable;
use kv_core::causality::{Actor, Context, Dot, Stamp};
use kv_core::command::{
    Ack, Decision, Explain, ExplainedReplica, ExplainedVersion, Get, GetAnswer, Put, PutApplied, PutResult,
    ReplicaState, Sibling,
};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{BucketId, ClusterId, Incarnation, NodeId};
use kv_core::key::{Key, StorageKey};
use kv_core::layout::{Layout, LayoutDraft, Member, Partitioning};
use kv_core::limits::Limits;
use kv_core::partitioner::Partitioner;
use kv_core::replica::{StoreIdentity, store_layout, store_table};
use kv_core::replication::ReplicationStrategy;
use kv_core::storage::{Batch, Durability, Storage};
use kv_core::transport::{FrameHandler, Sender, Transport};
use kv_core::view::{ClusterSecret, Plugins};
use kv_core::wire::{
    Answer, AnswerBody, BucketChange, ClusterInfo, Header, NodeStatus, Request, RequestBody, decode_answer,
    decode_request, encode_answer, encode_request,
};
use kv_net::transport::{AddressBook, Identity};
use std::sync::Mutex;

#[derive(Debug)]
pub(crate) struct NodeConfig {
    pub(crate) node: NodeId,
    pub(crate) store: Arc<dyn Storage>,
    pub(crate) plugins: Plugins,
    pub(crate) strategy: Arc<dyn ReplicationStrategy>,
    pub(crate) limits: Limits,
    pub(crate) members: Vec<Member>,
    pub(crate) replicas: usize,
    pub(crate) partitions: u32,
    pub(crate) durability: Durability,
}

#[derive(Debug)]
pub(crate) struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: NodeConfig,
    transport: Arc<dyn Transport>,
    identity: Arc<Identity>,
    started: Instant,
    incarnation: Incarnation,
    state: Mutex<(Option<Layout>, BucketTable)>,
}

impl Node {
    pub(crate) async fn start(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        identity: Arc<Identity>,
        addresses: Arc<AddressBook>,
    ) -> Result<Node, Error> {
        for member in &config.members {
            addresses.set(member.id, member.address.clone());
        }
        let layout = store_layout(&*config.store)?;
        let table = match layout {
            Some(_) => store_table(&*config.store)?,
            None => BucketTable::first(config.replicas as u8, config.durability),
        };
        let incarnation = Incarnation(rand::random());
        identity.set_incarnation(incarnation);
        let inner = Arc::new(Inner {
            config,
            transport: Arc::clone(&transport),
            identity,
            started: Instant::now(),
            incarnation,
            state: Mutex::new((layout, table)),
        });
        transport.start(Arc::clone(&inner) as Arc<dyn FrameHandler>).await?;
        Ok(Node(inner))
    }

    pub(crate) fn status(&self) -> NodeStatus {
        self.0.status()
    }

    pub(crate) fn is_ready(&self) -> Result<(), String> {
        match self.0.layout() {
            Some(_) => Ok(()),
            None => Err("the node belongs to no cluster yet: run kv cluster init".into()),
        }
    }

    pub(crate) async fn stopped(&self) -> Error {
        std::future::pending().await
    }

    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.0.transport.shut_down(grace).await;
    }
}

#[async_trait]
impl FrameHandler for Inner {
    async fn handle(&self, sender: Sender, frame: Bytes) -> Bytes {
        let body = match decode_request(&frame) {
            Ok(request) => self.answer(sender, request.body).await.unwrap_or_else(AnswerBody::Refused),
            Err(error) => AnswerBody::Refused(error),
        };
        encode_answer(&Answer { header: self.header(), body })
    }
}

impl Inner {
    fn header(&self) -> Header {
        Header {
            cluster: self.identity.cluster().unwrap_or(ClusterId(0)),
            layout: u64::from(self.layout().is_some()),
            incarnation: self.incarnation,
            clock: now(),
            buckets: 0,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, (Option<Layout>, BucketTable)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn layout(&self) -> Option<Layout> {
        self.state().0.clone()
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            node: self.config.node,
            release: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            cluster: self.identity.cluster(),
            layout: self.layout().map_or(0, |layout| layout.version()),
            incarnation: self.incarnation,
            trouble: String::new(),
            storage: self.config.store.stats().unwrap_or_default(),
            operations: 0,
            mutations: 0,
            clock_distance_ms: 0,
            counters: vec![("gets_answered".into(), 0)],
            peers: Vec::new(),
        }
    }

    async fn answer(&self, sender: Sender, body: RequestBody) -> Result<AnswerBody, Error> {
        let is_client = sender == Sender::Client;
        Ok(match body {
            RequestBody::Get(get) => AnswerBody::Get(self.get(get, is_client).await),
            RequestBody::Put(put) => AnswerBody::Put(self.put(put, is_client).await?),
            RequestBody::Cluster => self.cluster(),
            RequestBody::Status => AnswerBody::Status(Box::new(self.status())),
            RequestBody::Init => {
                self.init().await?;
                self.cluster()
            }
            RequestBody::Join(layout, secret, table) => {
                self.join(*layout, secret, table)?;
                AnswerBody::Done
            }
            RequestBody::ChangeBucket(change) => {
                let again = RequestBody::ChangeBucket(change.clone());
                self.change(change)?;
                if is_client {
                    self.tell_others(again).await;
                }
                AnswerBody::Done
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "the stand-in does not do that")),
        })
    }

    fn cluster(&self) -> AnswerBody {
        let (layout, buckets) = self.state().clone();
        AnswerBody::Cluster(Box::new(ClusterInfo { layout, buckets }))
    }

    async fn init(&self) -> Result<(), Error> {
        let layout = match self.layout() {
            Some(layout) => layout,
            None => {
                let draft = LayoutDraft {
                    cluster: ClusterId(rand::random()),
                    members: self.config.members.clone(),
                    partitioning: Partitioning::new(self.config.partitions)?,
                    replicas: self.config.replicas,
                };
                Layout::first(draft, &*self.config.plugins.partitioner, &*self.config.strategy)?.0
            }
        };
        let table = self.state().1.clone();
        self.join(layout.clone(), [7; 16], table.clone())?;
        self.tell_others(RequestBody::Join(Box::new(layout), [7; 16], table)).await;
        Ok(())
    }

    fn join(&self, layout: Layout, secret: [u8; 16], table: BucketTable) -> Result<(), Error> {
        let identity = kv_core::view::Identity {
            cluster: layout.cluster(),
            secret: ClusterSecret(secret),
            node: self.config.node,
        };
        StoreIdentity::write(&*self.config.store, &identity, &layout, &table)?;
        self.identity.set_cluster(layout.cluster());
        *self.state() = (Some(layout), table);
        Ok(())
    }

    fn change(&self, change: BucketChange) -> Result<(), Error> {
        let mut state = self.state();
        let limits = &self.config.limits;
        match change {
            BucketChange::Create(name, _) if state.1.get(&name).is_some() => {
                Err(Error::new(ErrorKind::InvalidBucket, format!("there is a bucket '{name}' already")))
            }
            BucketChange::Create(name, properties) | BucketChange::Set(name, properties) => {
                let id = kv_core::partitioner::Xxh3Partitioner.token(name.as_bytes()).0 as u32;
                state.1.set(&name, properties, BucketId(id), now(), limits)
            }
            BucketChange::Delete(name) => state.1.delete(&name, now()),
        }
    }

    async fn tell_others(&self, body: RequestBody) -> Vec<(NodeId, Result<AnswerBody, ErrorKind>)> {
        let frame = encode_request(&Request { header: self.header(), body });
        let mut calls = tokio::task::JoinSet::new();
        for member in self.config.members.iter().filter(|member| member.id != self.config.node) {
            let (transport, frame, id) = (Arc::clone(&self.transport), frame.clone(), member.id);
            calls.spawn(async move {
                let answer = transport.call(id, frame, Duration::from_secs(1)).await;
                (
                    id,
                    answer
                        .map_err(|e| e.kind())
                        .and_then(|a| decode_answer(&a).map(|a| a.body).map_err(|e| e.kind())),
                )
            });
        }
        calls.join_all().await
    }

    fn place(&self, bucket: &str, key: &Key) -> Result<StorageKey, Error> {
        if self.layout().is_none() {
            return Err(Error::new(
                ErrorKind::StaleLayout,
                "the node belongs to no cluster yet: run kv cluster init",
            ));
        }
        let id = self.state().1.get(bucket).map(|(id, _)| id);
        let id = id.ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownBucket,
                format!("there is no bucket '{bucket}': create it with kv bucket create {bucket}"),
            )
        })?;
        Ok(StorageKey::new(id, self.config.plugins.partitioner.token(key.as_bytes()), key.as_bytes()))
    }

    async fn get(&self, get: Get, is_client: bool) -> Result<GetAnswer, Error> {
        let place = self.place(&get.bucket, &get.key)?;
        let mut value = Vec::new();
        let found = self.config.store.get(place.as_bytes(), &mut value)?;
        let dot = Dot { actor: Actor { incarnation: self.incarnation, birth: 1 }, counter: 1 };
        let context = Context::default().seal(&[7; 16], BucketId(1), &get.key);
        let explain = get.options.explain.then(|| self.explain(&get.key, dot, found.then_some(value.len())));
        let sibling = Sibling { value: value.into(), dot, stamp: now() };
        let mut answer =
            GetAnswer { values: if found { vec![sibling] } else { Vec::new() }, context, explain: None };
        if is_client && !found {
            for (_, other) in self.tell_others(RequestBody::Get(get)).await {
                if let Ok(AnswerBody::Get(Ok(other))) = other
                    && !other.values.is_empty()
                {
                    answer.values = other.values;
                }
            }
        }
        answer.explain = explain.map(Box::new);
        Ok(answer)
    }

    fn explain(&self, key: &Key, dot: Dot, value_bytes: Option<usize>) -> Explain {
        let token = self.config.plugins.partitioner.token(key.as_bytes());
        let layout = self.layout();
        let owners = layout.as_ref().map_or(&[][..], |layout| layout.owners(token, 3));
        Explain {
            coordinator: self.config.node,
            token,
            partition: layout
                .as_ref()
                .map_or(kv_core::ids::PartitionId(0), |l| l.partitioning().partition(token)),
            layout: 1,
            needed: 2,
            replicas: owners
                .iter()
                .map(|node| ExplainedReplica {
                    node: *node,
                    state: ReplicaState::Answered,
                    versions: vec![ExplainedVersion { dot, stamp: now(), value_bytes, won: true }],
                    repaired: false,
                })
                .collect(),
            decision: if value_bytes.is_some() { Decision::OnlyVersion } else { Decision::NotFound },
        }
    }

    async fn put(&self, put: Put, is_client: bool) -> Result<PutResult, Error> {
        let place = self.place(&put.bucket, &put.key)?;
        let mut batch = Batch::new();
        match &put.value {
            Some(value) => batch.put(place.as_bytes(), &[value]),
            None => batch.delete(place.as_bytes()),
        }
        self.config.store.write(&batch, Durability::Synced)?;
        let mut acks = vec![Ack { node: self.config.node, incarnation: self.incarnation }];
        if is_client {
            for (node, answer) in self.tell_others(RequestBody::Put(put.clone())).await {
                if matches!(answer, Ok(AnswerBody::Put(PutResult::Applied(_)))) {
                    acks.push(Ack { node, incarnation: Incarnation(0) });
                }
            }
            let needed = self.config.members.len() / 2 + 1;
            if acks.len() < needed {
                return Ok(PutResult::Indeterminate(Error::new(ErrorKind::Unavailable, "too few")));
            }
        }
        let dot = Dot { actor: Actor { incarnation: self.incarnation, birth: 1 }, counter: 1 };
        let context = Context::default().seal(&[7; 16], BucketId(1), &put.key);
        Ok(PutResult::Applied(PutApplied { dot: Some(dot), context, acks, explain: None }))
    }
}

fn now() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp::from_millis(since.as_millis() as u64)
}
