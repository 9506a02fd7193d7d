use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use kv_core::command::{Attempt, Get, GetAnswer, GetMany, Put, PutMany, PutResult, Scan, ScanAnswer};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::BucketId;
use kv_core::record::WriteId;
use kv_core::tree::{LeafCount, LeafId};
use kv_core::wire::{AnswerBody, BucketChange, ClusterInfo, NodeStatus, PartitionStatus, RequestBody};

use crate::client::ClientBuilder;
use crate::client::calls::{Failed, Inner, millis, no_node, unexpected};
use crate::client::health::Health;
use crate::transport::ClientTransport;

/// A client of a cluster. Cheap to clone; clones share connections.
///
/// A get is retried at other nodes until its time is up. A put is retried where the error says that nothing was written; a put that may have been
/// written is [`PutResult::Indeterminate`] and is retried by itself only if it has an id ([`Client::fresh_id`], [`Put::with_id`]), by which
/// the cluster recognises it.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

impl Client {
    /// Begins to put a client together.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(super) fn new(builder: ClientBuilder, transport: Arc<dyn ClientTransport>) -> Self {
        let inner = Inner {
            builder,
            transport,
            routing: ArcSwapOption::empty(),
            health: Health::default(),
            refreshing: tokio::sync::Mutex::new(()),
        };
        Client { inner: Arc::new(inner) }
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// What the node says, or [`ErrorKind::Unavailable`] with the last node's reason when none could help in time.
    pub async fn get(&self, mut get: Get) -> Result<GetAnswer, Error> {
        let end = self.end(get.options.timeout_ms);
        let routing = self.inner.routing(end).await?;
        let route = routing.route(&get.bucket, &get.key, &self.inner.health);
        get.options.timeout_ms = None;
        let body = RequestBody::Get(get);
        match self.inner.read(&routing, route, body, end).await? {
            AnswerBody::Get(result) => result,
            _ => Err(unexpected()),
        }
    }

    /// Writes or deletes a key.
    pub async fn put(&self, put: Put) -> PutResult {
        let end = self.end(put.options.timeout_ms);
        let routing = match self.inner.routing(end).await {
            Ok(routing) => routing,
            Err(error) => return PutResult::NotApplied(error),
        };
        match put.options.attempt {
            Attempt::Only => self.inner.put(&routing, &put, end).await,
            Attempt::First(_) | Attempt::Again(_) => self.inner.put_recognised(&routing, put, end).await,
        }
    }

    /// An id for a put that no other has.
    pub fn fresh_id() -> WriteId {
        WriteId(rand::random())
    }

    /// Reads many keys, each for itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the request as a whole, or why no node could take it.
    pub async fn get_many(&self, mut get: GetMany) -> Result<Vec<Result<GetAnswer, Error>>, Error> {
        let end = self.end(get.options.timeout_ms);
        let routing = self.inner.routing(end).await?;
        let route = routing.any(&self.inner.health);
        get.options.timeout_ms = None;
        match self.inner.read(&routing, route, RequestBody::GetMany(get), end).await? {
            AnswerBody::GetMany(results) => Ok(results),
            _ => Err(unexpected()),
        }
    }

    /// Writes many keys, each for itself.
    ///
    /// # Errors
    ///
    /// What is wrong with the request as a whole; nothing was written.
    pub async fn put_many(&self, put: PutMany) -> Result<Vec<PutResult>, Error> {
        let end = self.end(put.options.timeout_ms);
        let routing = self.inner.routing(end).await?;
        let route = routing.any(&self.inner.health);
        let count = put.puts.len();
        let all_unknown =
            move |error: Error| Ok((0..count).map(|_| PutResult::Indeterminate(error.clone())).collect());
        let judge = move |body| match body {
            AnswerBody::PutMany(results) => Ok(results),
            AnswerBody::Refused(error) => Err(error),
            _ => all_unknown(unexpected()),
        };
        let failed = move |failed| match failed {
            Failed::NothingWritten(error) => Err(error),
            Failed::Unknown(error) => all_unknown(error),
        };
        let request = |left: Duration| {
            let mut put = put.clone();
            put.options.timeout_ms = Some(millis(left));
            RequestBody::PutMany(put)
        };
        self.inner.write(&routing, route, end, request, judge, |result| result.as_ref().err(), failed).await
    }

    /// Reads a page of keys. There may be fewer than were asked for, or none, and more as long as the answer says where they begin.
    ///
    /// # Errors
    ///
    /// What the node says, or [`ErrorKind::Unavailable`] with the last node's reason when none could help in time.
    pub async fn scan(&self, mut scan: Scan) -> Result<ScanAnswer, Error> {
        let end = self.end(scan.timeout_ms.take());
        let routing = self.inner.routing(end).await?;
        let route = routing.route_to(&scan.bucket, scan.from.token, &self.inner.health);
        loop {
            let body = RequestBody::Scan(scan.clone());
            match self.inner.read(&routing, route.clone(), body, end).await {
                Ok(AnswerBody::Scan(result)) => return result,
                Ok(_) => return Err(unexpected()),
                // Values are so large that fewer of them have to do.
                Err(error) if error.kind() == ErrorKind::FrameTooLarge && scan.limit > 1 => scan.limit /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// The layout and the buckets, asked anew.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if no seed answers.
    pub async fn cluster(&self) -> Result<ClusterInfo, Error> {
        Ok(self.inner.refresh(self.inner.refreshing.lock().await).await?.info.clone())
    }

    /// How the node at `address` is.
    ///
    /// # Errors
    ///
    /// Why it does not answer.
    pub async fn status(&self, address: &str) -> Result<NodeStatus, Error> {
        match self.inner.ask(address, RequestBody::Status, self.inner.builder.timeout).await? {
            AnswerBody::Status(status) => Ok(*status),
            _ => Err(unexpected()),
        }
    }

    /// How the partitions of a bucket are getting on of which the node at `address` is an owner.
    ///
    /// # Errors
    ///
    /// Why it does not answer.
    pub async fn partitions(&self, address: &str, bucket: BucketId) -> Result<Vec<PartitionStatus>, Error> {
        let body = RequestBody::Partitions(bucket);
        match self.inner.ask(address, body, self.inner.builder.timeout).await? {
            AnswerBody::Partitions(partitions) => Ok(partitions),
            _ => Err(unexpected()),
        }
    }

    /// Has the node at `address` compare what it holds with every other owner now; returns the number of the round, which is over when
    /// [`RepairStatus::rounds_ended`](kv_core::wire::RepairStatus::rounds_ended) has reached it.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn repair(&self, address: &str) -> Result<u64, Error> {
        match self.inner.ask(address, RequestBody::Repair, self.inner.builder.timeout).await? {
            AnswerBody::Repair(round) => Ok(round),
            _ => Err(unexpected()),
        }
    }

    /// Has the node at `address` count leaves of its trees anew, at most 64, by looking at each of their records.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn count(&self, address: &str, leaves: Vec<LeafId>) -> Result<Vec<LeafCount>, Error> {
        match self.inner.ask(address, RequestBody::Count(leaves), self.inner.builder.timeout).await? {
            AnswerBody::Counted(counts) => Ok(counts),
            _ => Err(unexpected()),
        }
    }

    /// Has the node at `address` make version 1 of the layout from the members in its configuration.
    ///
    /// # Errors
    ///
    /// Names the member that does not join and why; may be repeated.
    pub async fn init(&self, address: &str) -> Result<ClusterInfo, Error> {
        let patience = self.inner.builder.timeout.max(Duration::from_secs(30));
        match self.inner.ask(address, RequestBody::Init, patience).await? {
            AnswerBody::Cluster(info) => Ok(*info),
            _ => Err(unexpected()),
        }
    }

    /// Changes the bucket table of the cluster.
    ///
    /// # Errors
    ///
    /// What is wrong with the change, or why it could not be made.
    pub async fn change_bucket(&self, change: BucketChange) -> Result<(), Error> {
        let routing = self.inner.routing(self.end(None)).await?;
        let mut last = None;
        for address in routing.any(&self.inner.health) {
            let body = RequestBody::ChangeBucket(change.clone());
            match self.inner.ask(&address, body, self.inner.builder.timeout).await {
                Ok(_) => {
                    // What this client knows of the buckets is out of date.
                    self.inner.refresh(self.inner.refreshing.lock().await).await?;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::ConnectionFailed => last = Some(error),
                Err(error) => {
                    if error.kind() == ErrorKind::WrongCluster {
                        self.inner.routing.store(None);
                    }
                    return Err(error);
                }
            }
        }
        Err(last.unwrap_or_else(no_node))
    }

    /// Closes the connections.
    pub async fn shut_down(&self) {
        self.inner.transport.shut_down(Duration::from_secs(1)).await;
    }

    fn end(&self, timeout_ms: Option<u32>) -> Instant {
        let timeout = timeout_ms.map_or(self.inner.builder.timeout, |ms| Duration::from_millis(ms.into()));
        Instant::now() + timeout
    }
}
