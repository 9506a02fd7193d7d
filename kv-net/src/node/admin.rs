use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv_core::bucket::BucketTable;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{BucketId, ClusterId, NodeId, TraceId};
use kv_core::layout::{Layout, LayoutDraft, Partitioning};
use kv_core::machine::Event;
use kv_core::replica::{Meta, Mutation, StoreIdentity, mark_replacement};
use kv_core::transport::Sender;
use kv_core::view::{ClusterSecret, Identity, View};
use kv_core::wire::{AnswerBody, BucketChange, ClusterInfo, Join, RequestBody, WriteAnswer};
use tokio::sync::oneshot;

use crate::node::live::Live;
use crate::node::shared::Shared;
use crate::node::sweep::sweep;
use crate::node::ticket::Ticket;

/// How long a member may take to answer what the administration asks of it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Shared {
    /// Does what changes or tells of the cluster, not of keys.
    pub(super) async fn administer(self: &Arc<Self>, sender: Sender, body: RequestBody) -> AnswerBody {
        let result = match body {
            RequestBody::Cluster => Ok(AnswerBody::Cluster(Box::new(self.cluster_info()))),
            RequestBody::Status => Ok(AnswerBody::Status(Box::new(self.status()))),
            RequestBody::Partitions(bucket) => self.partition_status(bucket),
            RequestBody::Init => self.init().await,
            RequestBody::Join(..) if sender == Sender::Client => {
                Err(Error::new(ErrorKind::NotPermitted, "only a member may ask a node to join"))
            }
            RequestBody::Join(join) => self.join(*join).await,
            RequestBody::MergeBuckets(table) => self.merge_table(&table).await.map(AnswerBody::Buckets),
            RequestBody::ChangeBucket(change) => self.change_bucket(change).await,
            _ => Err(Error::new(ErrorKind::InvalidFrame, "the request cannot be made here")),
        };
        result.unwrap_or_else(AnswerBody::Refused)
    }

    fn cluster_info(&self) -> ClusterInfo {
        match self.live.load().as_ref() {
            Some(live) => ClusterInfo {
                layout: Some((*live.view.layout).clone()),
                buckets: (**live.view.table()).clone(),
            },
            None => ClusterInfo { layout: None, buckets: BucketTable::default() },
        }
    }

    /// Makes version 1 of the layout, has every other member join, and joins itself last: whoever is asked again goes on where this stopped. Where the
    /// cluster is there already, those who join it now may have been members that lost their stores.
    async fn init(self: &Arc<Self>) -> Result<AnswerBody, Error> {
        let administration = self.administration.lock().await;
        let join = match self.live.load_full() {
            Some(live) => Join {
                layout: (*live.view.layout).clone(),
                secret: live.view.identity.secret.0,
                table: (**live.view.table()).clone(),
                is_late: true,
            },
            None => self.first_layout()?,
        };
        let layout = &join.layout;
        let others = layout.members().iter().filter(|member| member.id != self.config.node);
        for member in others {
            self.addresses.set(member.id, member.address.as_str());
            let body = RequestBody::Join(Box::new(join.clone()));
            self.ask_to_join(member.id, layout.cluster(), body).await.map_err(|error| {
                let message = format!("node {} at {} does not join: {error}", member.id, member.address);
                Error::new(error.kind(), format!("{message}; mend that and run kv cluster init again"))
            })?;
        }
        drop(administration);
        self.join(join).await?;
        Ok(AnswerBody::Cluster(Box::new(self.cluster_info())))
    }

    fn first_layout(&self) -> Result<Join, Error> {
        let config = &self.config;
        if !config.members.iter().any(|member| member.id == config.node) {
            let message = "the members in this node's configuration do not name the node itself";
            return Err(Error::new(ErrorKind::InvalidConfiguration, message));
        }
        let draft = LayoutDraft {
            cluster: ClusterId(rand::random::<u128>().max(1)),
            members: config.members.clone(),
            partitioning: Partitioning::new(config.partitions)?,
            replicas: config.replicas.into(),
        };
        let (layout, unmet) = Layout::first(draft, &*config.plugins.partitioner, &*config.strategy)?;
        for constraint in unmet {
            tracing::warn!(%constraint, "the layout cannot have everything");
        }
        let table = BucketTable::first(config.replicas, config.durability);
        Ok(Join { layout, secret: rand::random(), table, is_late: false })
    }

    async fn ask_to_join(
        self: &Arc<Self>,
        peer: NodeId,
        cluster: ClusterId,
        join: RequestBody,
    ) -> Result<(), Error> {
        let frame = kv_core::wire::encode_request(&kv_core::wire::Request {
            header: kv_core::wire::Header {
                cluster,
                layout: 1,
                incarnation: self.incarnation(),
                clock: self.clock.read(self.now().wall_ms),
                buckets: 0,
                trace: TraceId::NONE,
            },
            body: join,
        });
        let answer = self.transport.call(peer, frame, PATIENCE).await;
        let answer = answer.map_err(|error| Error::new(error.kind(), error.to_string()))?;
        match kv_core::wire::decode_answer(&answer)?.body {
            AnswerBody::Done => Ok(()),
            AnswerBody::Refused(error) => Err(error),
            _ => Err(Error::new(ErrorKind::InvalidFrame, "it answered something else")),
        }
    }

    /// Makes this node a member of a cluster, for good.
    async fn join(self: &Arc<Self>, join: Join) -> Result<AnswerBody, Error> {
        let Join { layout, secret, table, is_late } = join;
        // Two members that make a layout at the same time must not each wait for the other and then join it.
        let Ok(_administration) = self.administration.try_lock() else {
            let message = "this node is being administered at this moment: run kv cluster init again";
            return Err(Error::new(ErrorKind::Overloaded, message));
        };
        layout.check()?;
        let identity =
            Identity { cluster: layout.cluster(), secret: ClusterSecret(secret), node: self.config.node };
        if let Some(live) = self.live.load_full() {
            let same = live.view.identity == identity && *live.view.layout == layout;
            return if same {
                Ok(AnswerBody::Done)
            } else {
                Err(Error::new(
                    ErrorKind::WrongCluster,
                    format!(
                        "this node belongs to cluster {} already: run kv cluster init against it to have the others join it",
                        live.view.identity.cluster
                    ),
                ))
            };
        }
        let view = View::new(
            identity.clone(),
            Arc::new(layout.clone()),
            table.clone(),
            self.config.plugins.clone(),
            self.config.limits.clone(),
        )?;
        let (store, replicated) = (self.config.store.clone(), view.replicated());
        if is_late {
            self.partitions.epochs.is_replacement(replicated.iter().copied());
        }
        let stored = tokio::task::spawn_blocking(move || {
            if is_late {
                // First: a store with an identity and without the mark would vote.
                mark_replacement(&*store, &replicated)?;
            }
            StoreIdentity::write(&*store, &identity, &layout, &table)
        });
        stored.await.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))??;
        self.install(view);
        if is_late && let Some(live) = self.live.load_full() {
            self.recover(&live);
        }
        Ok(AnswerBody::Done)
    }

    /// Begins to get what this node lacks, at once.
    pub(super) fn recover(self: &Arc<Self>, live: &Arc<Live>) {
        tracing::info!(
            "this node has what the others have, and votes, once it has compared itself with them"
        );
        // Nobody waits for the answer.
        let (waiter, _) = oneshot::channel();
        self.drive(live, Event::Repair(Ticket::Frame(waiter)));
    }

    /// Begins to serve as a member.
    pub(super) fn install(&self, view: View) {
        for member in view.layout.members() {
            if member.id != self.config.node && self.addresses.get(member.id).is_none() {
                self.addresses.set(member.id, member.address.as_str());
            }
        }
        self.identity.set_cluster(view.identity.cluster);
        tracing::info!(cluster = %view.identity.cluster, layout = view.layout.version(), "member of a cluster");
        self.live.store(Some(Arc::new(Live::new(view))));
        self.changed.notify_one();
        // There was nothing to tick so far.
        self.wake_timer();
    }

    /// Calls every other member once, as a node does that starts again: they learn at once that it can be reached, instead of at their next
    /// try, and it learns what became of the buckets. It is not ready before, so that whoever restarts one node after the other never has
    /// two that cannot reach each other.
    pub(super) async fn greet(self: &Arc<Self>, live: &Arc<Live>) {
        let table = live.view.table();
        for answer in self.give_table(live, table).await {
            let merged = self.merge_table(&answer).await;
            if let Err(error) = merged {
                tracing::debug!(%error, "a bucket table was not taken in");
            }
        }
        self.greeted.store(true, Ordering::Release);
    }

    /// Takes in a bucket table and returns the merged one.
    async fn merge_table(self: &Arc<Self>, table: &BucketTable) -> Result<BucketTable, Error> {
        let _administration = self.administration.lock().await;
        let live = self.open()?;
        let mut merged = (**live.view.table()).clone();
        if merged.merge(table) {
            self.install_table(&live, merged.clone()).await?;
        }
        Ok(merged)
    }

    /// Stores a bucket table, and goes by it once it is stored.
    async fn install_table(self: &Arc<Self>, live: &Live, table: BucketTable) -> Result<(), Error> {
        let (waiter, stored) = oneshot::channel();
        let value = Meta::encode_table(&table);
        let meta = Mutation::Meta { name: Meta::BUCKETS, value, reply: Ticket::Frame(waiter) };
        let full = "the write queue is full: try again later";
        self.queue.push(meta).map_err(|_| Error::new(ErrorKind::Overloaded, full))?;
        match stored.await {
            Ok(AnswerBody::Write(answers)) if matches!(*answers, [WriteAnswer::Committed(_)]) => {}
            _ => {
                let message = "the bucket table could not be stored: see this node's log and its free space";
                return Err(Error::new(ErrorKind::NotWritten, message));
            }
        }
        self.live.store(Some(Arc::new(live.with_table(table))));
        self.changed.notify_one();
        // The writer refuses what comes for deleted buckets from now on.
        self.runtime.spawn(sweep(self.clone()));
        Ok(())
    }

    /// A change is made to the newest table, which one of most members has: one that is cut off from them changes nothing.
    async fn change_bucket(self: &Arc<Self>, change: BucketChange) -> Result<AnswerBody, Error> {
        let live = self.open_for_operations()?;
        let tables = self.give_table(&live, live.view.table()).await;
        let (reached, members) = (1 + tables.len(), live.view.layout.members().len());
        if reached <= members / 2 {
            let message = format!(
                "{reached} of {members} members can be reached, and most have to be: nothing was changed"
            );
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        for table in &tables {
            self.merge_table(table).await?;
        }
        let (live, table) = {
            let _administration = self.administration.lock().await;
            let live = self.open_for_operations()?;
            let mut table = (**live.view.table()).clone();
            let now = self.clock.tick(self.now().wall_ms);
            let id = BucketId(rand::random());
            match change {
                BucketChange::Create(name, properties) => {
                    if table.get(&name).is_some() {
                        let message =
                            format!("there is a bucket '{name}' already: change it with kv bucket set");
                        return Err(Error::new(ErrorKind::InvalidBucket, message));
                    }
                    self.config.plugins.resolver(&properties.resolver)?;
                    table.set(&name, properties, id, now, &self.config.limits)?;
                }
                BucketChange::Set(name, properties) => {
                    if table.get(&name).is_none() {
                        let message = format!("there is no bucket '{name}': create it with kv bucket create");
                        return Err(Error::new(ErrorKind::UnknownBucket, message));
                    }
                    table.set(&name, properties, id, now, &self.config.limits)?;
                }
                BucketChange::Delete(name) => table.delete(&name, now)?,
            }
            self.install_table(&live, table.clone()).await?;
            (live, table)
        };
        self.spread(&live, &table).await
    }

    /// Gives the other members a new table; most of them must have it before the change is called done.
    async fn spread(self: &Arc<Self>, live: &Arc<Live>, table: &BucketTable) -> Result<AnswerBody, Error> {
        let members = live.view.layout.members();
        let took = 1 + self.give_table(live, table).await.len();
        if took > members.len() / 2 {
            return Ok(AnswerBody::Done);
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "{took} of {} members took the change; the others learn of it when they can be reached",
                members.len()
            ),
        ))
    }

    /// Gives the other members a table, and returns what those who can be reached made of it.
    async fn give_table(self: &Arc<Self>, live: &Arc<Live>, table: &BucketTable) -> Vec<BucketTable> {
        let members = live.view.layout.members().iter();
        let calls: Vec<_> = members
            .filter(|member| member.id != self.config.node)
            .map(|member| {
                let (shared, live, peer) = (self.clone(), live.clone(), member.id);
                let body = RequestBody::MergeBuckets(table.clone());
                tokio::spawn(async move { shared.ask(&live, peer, body, PATIENCE).await })
            })
            .collect();
        let mut tables = Vec::new();
        for call in calls {
            if let Ok(Ok(answer)) = call.await
                && let AnswerBody::Buckets(table) = answer.body
            {
                tables.push(table);
            }
        }
        tables
    }

    /// Notices that a peer's bucket table differs, and exchanges tables with it in the background.
    pub(super) fn compare_tables(self: &Arc<Self>, live: &Arc<Live>, peer: NodeId, digest: u64) {
        if digest == 0
            || digest == live.view.table_digest()
            || self.synchronising.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let shared = self.clone();
        self.runtime.spawn(async move {
            if let Some(live) = shared.live.load_full()
                && live.view.table_digest() != digest
            {
                let body = RequestBody::MergeBuckets((**live.view.table()).clone());
                if let Ok(answer) = shared.ask(&live, peer, body, PATIENCE).await
                    && let AnswerBody::Buckets(table) = answer.body
                {
                    let _ = shared.merge_table(&table).await;
                }
            }
            // A peer whose table cannot be merged is not asked in a tight loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
            shared.synchronising.store(false, Ordering::Release);
        });
    }
}
