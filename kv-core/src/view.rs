//! What a node knows of its cluster at one moment: identity, layout, buckets, plug-ins, bounds. Immutable; replaced as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::bucket::{BucketProperties, BucketTable};
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, ClusterId, NodeId, Token};
use crate::key::Key;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::partitioner::Partitioner;
use crate::resolver::{CombineWith, ConflictResolver, KeepSiblings, LastWriteWins};

/// Sixteen random bytes that the members of a cluster share and never show to clients: contexts are authenticated with it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(pub [u8; 16]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The cluster's secret.
    pub secret: ClusterSecret,
    /// Its own id.
    pub node: NodeId,
}

/// The plug-ins of a node that are pure functions: partitioner and resolvers.
#[derive(Debug, Clone)]
pub struct Plugins {
    /// Where keys lie.
    pub partitioner: Arc<dyn Partitioner>,
    /// The resolvers, by name.
    resolvers: BTreeMap<String, Arc<dyn ConflictResolver>>,
}

impl Plugins {
    /// A partitioner and the built-in resolvers `siblings` and `last_write_wins`.
    pub fn new(partitioner: impl Partitioner) -> Self {
        let plugins = Plugins { partitioner: Arc::new(partitioner), resolvers: BTreeMap::new() };
        plugins.with_resolver(KeepSiblings).with_resolver(LastWriteWins)
    }

    /// Adds a resolver under its own name, in place of one that had it.
    #[must_use]
    pub fn with_resolver(mut self, resolver: impl ConflictResolver) -> Self {
        self.resolvers.insert(resolver.name(), Arc::new(resolver));
        self
    }

    /// Adds a resolver that combines values with a closure ([`CombineWith`]).
    #[must_use]
    pub fn with_combine(
        self,
        name: &str,
        combine: impl Fn(&[&[u8]]) -> Option<bytes::Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with_resolver(CombineWith::new(name, combine))
    }

    /// Adds a resolver that is shared already, under its own name.
    #[must_use]
    pub fn with_shared_resolver(mut self, resolver: Arc<dyn ConflictResolver>) -> Self {
        self.resolvers.insert(resolver.name(), resolver);
        self
    }

    /// The names of the resolvers.
    pub fn resolver_names(&self) -> impl Iterator<Item = &str> {
        self.resolvers.keys().map(String::as_str)
    }

    /// The resolver of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBucket`] names those that there are.
    pub fn resolver(&self, name: &str) -> Result<&Arc<dyn ConflictResolver>, Error> {
        self.resolvers.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.resolver_names().collect();
            Error::new(
                ErrorKind::InvalidBucket,
                format!("this node has no resolver '{name}', it has {}", known.join(", ")),
            )
        })
    }
}

/// A bucket with its resolver at hand.
#[derive(Debug)]
pub struct Bucket {
    /// Its id.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// Its properties.
    pub properties: BucketProperties,
    /// Its resolver.
    pub resolver: Arc<dyn ConflictResolver>,
}

/// Everything that an operation needs to know of the cluster, at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Who this node is.
    pub identity: Identity,
    /// Who owns what.
    pub layout: Arc<Layout>,
    /// Partitioner and resolvers.
    pub plugins: Plugins,
    /// The bounds.
    pub limits: Limits,
    table: Arc<BucketTable>,
    table_digest: u64,
    by_name: BTreeMap<String, Arc<Bucket>>,
    by_id: BTreeMap<BucketId, Arc<Bucket>>,
}

impl View {
    /// Puts a view together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidLayout`] if the layout belongs to another cluster, was made with another partitioner, or has no such member;
    /// [`ErrorKind::InvalidConfiguration`] if the bounds contradict each other.
    pub fn new(
        identity: Identity,
        layout: Arc<Layout>,
        table: BucketTable,
        plugins: Plugins,
        limits: Limits,
    ) -> Result<Self, Error> {
        let bad = |what: String| Err(Error::new(ErrorKind::InvalidLayout, what));
        if layout.cluster() != identity.cluster {
            return bad(format!("the layout belongs to cluster {}", layout.cluster()));
        }
        if layout.partitioner() != plugins.partitioner.name() {
            return bad(format!(
                "the layout was made with partitioner {}, this node has {}: keys would be looked for in the wrong place",
                layout.partitioner(),
                plugins.partitioner.name()
            ));
        }
        if layout.member(identity.node).is_none() {
            return bad(format!(
                "node {} is no member of layout version {}",
                identity.node,
                layout.version()
            ));
        }
        limits.check(layout.replicas())?;
        let mut view = View {
            identity,
            layout,
            plugins,
            limits,
            table: Arc::new(BucketTable::default()),
            table_digest: 0,
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
        };
        view.set_table(table);
        Ok(view)
    }

    /// The same view with another bucket table.
    #[must_use]
    pub fn with_table(&self, table: BucketTable) -> Self {
        let mut view = self.clone();
        view.set_table(table);
        view
    }

    fn set_table(&mut self, table: BucketTable) {
        self.by_name.clear();
        self.by_id.clear();
        for (name, id, properties) in table.buckets() {
            // A bucket whose resolver this node lacks is unusable here; its keys are refused, never merged by another rule.
            let Ok(resolver) = self.plugins.resolver(&properties.resolver) else { continue };
            let bucket = Arc::new(Bucket {
                id,
                name: name.to_string(),
                properties: properties.clone(),
                resolver: Arc::clone(resolver),
            });
            self.by_name.insert(name.to_string(), Arc::clone(&bucket));
            self.by_id.insert(id, bucket);
        }
        self.table_digest = table.digest();
        self.table = Arc::new(table);
    }

    /// The bucket table.
    pub fn table(&self) -> &Arc<BucketTable> {
        &self.table
    }

    /// The digest of the bucket table.
    pub fn table_digest(&self) -> u64 {
        self.table_digest
    }

    /// The bucket of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownBucket`].
    pub fn bucket(&self, name: &str) -> Result<&Arc<Bucket>, Error> {
        self.by_name.get(name).ok_or_else(|| {
            let message = match self.table.get(name) {
                Some((_, properties)) => {
                    format!("bucket '{name}' needs resolver '{}', which this node lacks", properties.resolver)
                }
                None => format!("there is no bucket '{name}': create it with kv bucket create {name}"),
            };
            Error::new(ErrorKind::UnknownBucket, message)
        })
    }

    /// The bucket with that id.
    pub fn bucket_by_id(&self, id: BucketId) -> Option<&Arc<Bucket>> {
        self.by_id.get(&id)
    }

    /// Where `key` lies.
    pub fn token(&self, key: &Key) -> Token {
        self.plugins.partitioner.token(key.as_bytes())
    }

    /// The owners of `token` in `bucket`, in the order of preference.
    pub fn owners(&self, bucket: &Bucket, token: Token) -> &[NodeId] {
        self.layout.owners(token, bucket.properties.n.into())
    }

    /// The buckets whose keys have more than one owner.
    pub fn replicated(&self) -> Vec<BucketId> {
        self.table().replicated(self.layout.members().len())
    }

    /// The nodes that stand in for owners of `token` in `bucket` that are absent, in the order of preference.
    pub fn stand_ins(&self, bucket: &Bucket, token: Token) -> &[NodeId] {
        let list = self.layout.placement().preference_list(self.layout.partitioning().partition(token));
        list.get(self.owners(bucket, token).len()..).unwrap_or_default()
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.identity.node
    }

    /// The secret with which contexts are authenticated.
    pub fn secret(&self) -> &[u8; 16] {
        &self.identity.secret.0
    }
}
