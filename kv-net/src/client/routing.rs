use std::collections::HashMap;
use std::sync::Arc;

use kv_core::ids::{NodeId, Token};
use kv_core::key::Key;
use kv_core::partitioner::Partitioner;
use kv_core::wire::ClusterInfo;
use smallvec::SmallVec;

use crate::client::health::Health;

/// What the client knows of the cluster: where keys lie and where nodes are.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) info: ClusterInfo,
    partitioner: Option<Arc<dyn Partitioner>>,
    addresses: HashMap<NodeId, Arc<str>>,
    all: Vec<Arc<str>>,
}

/// Addresses in the order in which they are to be tried.
pub(super) type Route = SmallVec<[Arc<str>; 4]>;

impl Routing {
    pub(super) fn new(info: ClusterInfo, known: &[Arc<dyn Partitioner>]) -> Self {
        let members = info.layout.as_ref().map(|layout| layout.members()).unwrap_or_default();
        let addresses: HashMap<NodeId, Arc<str>> =
            members.iter().map(|member| (member.id, member.address.as_str().into())).collect();
        let all = members.iter().filter_map(|member| addresses.get(&member.id).cloned()).collect();
        let name = info.layout.as_ref().map(|layout| layout.partitioner()).unwrap_or_default();
        let partitioner = known.iter().find(|partitioner| partitioner.name() == name).cloned();
        Routing { info, partitioner, addresses, all }
    }

    /// The layout version; 0 for none.
    pub(super) fn version(&self) -> u64 {
        self.info.layout.as_ref().map_or(0, |layout| layout.version())
    }

    /// The nodes to try for `key`: its owners in the order of preference, then the others; those that failed lately last.
    pub(super) fn route(&self, bucket: &str, key: &Key, health: &Health) -> Route {
        let token = self.partitioner.as_ref().map(|partitioner| partitioner.token(key.as_bytes()));
        self.route_by(bucket, token, health)
    }

    /// The same for a place.
    pub(super) fn route_to(&self, bucket: &str, token: Token, health: &Health) -> Route {
        self.route_by(bucket, Some(token), health)
    }

    fn route_by(&self, bucket: &str, token: Option<Token>, health: &Health) -> Route {
        let mut route: Route = SmallVec::new();
        if let (Some(layout), Some(token)) = (&self.info.layout, token) {
            let replicas =
                self.info.buckets.get(bucket).map_or(layout.replicas(), |(_, bucket)| bucket.n.into());
            let owners = layout.owners(token, replicas);
            route.extend(owners.iter().filter_map(|owner| self.addresses.get(owner).cloned()));
        }
        let owners = route.len();
        // Without owners every node will do; start at a random one, so that none coordinates everything.
        let start =
            if owners == 0 && !self.all.is_empty() { rand::random_range(0..self.all.len()) } else { 0 };
        for address in self.all.iter().cycle().skip(start).take(self.all.len()) {
            if !route.contains(address) {
                route.push(address.clone());
            }
        }
        route.sort_by_key(|address| health.is_shunned(address));
        route
    }

    /// The nodes to try for an operation on many keys.
    pub(super) fn any(&self, health: &Health) -> Route {
        let mut route: Route = SmallVec::new();
        if !self.all.is_empty() {
            let start = rand::random_range(0..self.all.len());
            route.extend(self.all.iter().cycle().skip(start).take(self.all.len()).cloned());
        }
        route.sort_by_key(|address| health.is_shunned(address));
        route
    }
}
