use std::fmt;
use std::sync::Arc;

use crate::ids::{ClusterId, NodeId};
use crate::layout::{Layout, LayoutDraft, Member, Partitioning};
use crate::limits::Limits;
use crate::partitioner::Xxh3Partitioner;
use crate::replica::StoreIdentity;
use crate::replication::{BalancedPlacement, ReplicationStrategy};
use crate::storage::Storage;
use crate::testing::simulation::check::check_history;
use crate::testing::simulation::client::Client;
use crate::testing::simulation::disk::FaultyDisk;
use crate::testing::simulation::fabric::Fabric;
use crate::testing::simulation::happening::Happening;
use crate::testing::simulation::history::{History, KeyHistory};
use crate::testing::simulation::keys::keys;
use crate::testing::simulation::network::{Network, ROUND_TRIP_US};
use crate::testing::simulation::node::{SimulatedNode, node_id};
use crate::testing::simulation::plan::Plan;
use crate::testing::simulation::queue::Queue;
use crate::testing::simulation::random::Random;
use crate::testing::simulation::stores::{StorageFactory, Stores};
use crate::testing::simulation::trace::Trace;
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Report, SimulationConfig, Violation};
use crate::testing::storage::MemoryStorage;
use crate::view::{ClusterSecret, Identity, Plugins, View};

/// Partitions of a simulated cluster: few, so that keys share some.
const PARTITIONS: u32 = 8;
/// Virtual time after which a run is given up, in microseconds.
const TIME_MAX_US: u64 = 3_600_000_000;

/// A simulated run, to be composed and then made.
///
/// ```
/// use std::sync::Arc;
///
/// use kv_core::partitioner::Xxh3Partitioner;
/// use kv_core::replication::HashRing;
/// use kv_core::testing::simulation::{Faults, Simulation, SimulationConfig};
/// use kv_core::testing::storage::MemoryStorage;
/// use kv_core::view::Plugins;
///
/// let config = SimulationConfig { operations: 100, faults: Faults::none(), ..SimulationConfig::default() };
/// let report = Simulation::new(config)
///     .with_plugins(Plugins::new(Xxh3Partitioner))
///     .with_strategy(HashRing::default())
///     .with_storage(|_node| Arc::new(MemoryStorage::new()))
///     .seed(1)
///     .run();
/// assert_eq!(report.violations, []);
/// ```
pub struct Simulation {
    config: SimulationConfig,
    plugins: Plugins,
    strategy: Arc<dyn ReplicationStrategy>,
    storage: Arc<StorageFactory>,
    seed: u64,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("config", &self.config)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// A run with the built-in plug-ins and storages in memory, from seed 0.
    pub fn new(config: SimulationConfig) -> Self {
        Simulation {
            config,
            plugins: Plugins::new(Xxh3Partitioner),
            strategy: Arc::new(BalancedPlacement),
            storage: Arc::new(|_| Arc::new(MemoryStorage::new())),
            seed: 0,
        }
    }

    /// Uses that partitioner and those resolvers. The buckets of the run use the resolvers `siblings` and `last_write_wins`; one's own under
    /// such a name takes its place and is held to the same promises.
    #[must_use]
    pub fn with_plugins(mut self, plugins: Plugins) -> Self {
        self.plugins = plugins;
        self
    }

    /// Places partitions with that strategy.
    #[must_use]
    pub fn with_strategy(mut self, strategy: impl ReplicationStrategy) -> Self {
        self.strategy = Arc::new(strategy);
        self
    }

    /// Stores in what `factory` makes for each node, empty, and again for a node whose store is lost or put back as it once was. The run
    /// injects errors and flips bits above it; a crash loses the process and leaves the storage open.
    #[must_use]
    pub fn with_storage(
        mut self,
        factory: impl Fn(NodeId) -> Arc<dyn Storage> + Send + Sync + 'static,
    ) -> Self {
        self.storage = Arc::new(factory);
        self
    }

    /// Runs from that seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the run and judges it.
    pub fn run(&self) -> Report {
        let mut world = self.world();
        world.run(TIME_MAX_US, World::clients_are_done);
        let simulated_us = world.fabric.now_us;
        let key_operations = world.key_operations;
        let reads_and_writes = |history: &History| {
            let count = |of: fn(&KeyHistory) -> usize| history.keys.iter().map(of).sum::<usize>() as u64;
            (count(|key| key.reads.len()), count(|key| key.writes.len()))
        };
        let mut violations = world.settle();
        violations.extend(check_history(&world.history));
        if world.fabric.garbled > 0 {
            let message = format!("{} messages changed when they were encoded", world.fabric.garbled);
            violations.push(Violation { check: Check::MessagesKeepTheirMeaning, message });
        }
        if world.fabric.doubled_repairs > 0 {
            let message = format!(
                "{} records were sent to owners while the same were under way to them",
                world.fabric.doubled_repairs
            );
            violations.push(Violation { check: Check::RepairsAreBounded, message });
        }
        if world.strays > 0 {
            let message = format!("{} keys of scans are not where they should be", world.strays);
            violations.push(Violation { check: Check::PagesAreInOrder, message });
        }
        let (reads_checked, writes_checked) = reads_and_writes(&world.history);
        let failures: u64 = world.nodes.iter().map(|node| u64::from(node.disk_failures())).sum();
        Report {
            seed: self.seed,
            violations,
            trace_hash: world.fabric.trace.hash(),
            nodes: world.nodes.len(),
            clients: world.clients.len(),
            operations: world.operations,
            operations_succeeded: world.succeeded,
            reads_checked,
            writes_checked,
            simulated_us,
            faults_injected: world.fabric.faults + failures,
            message_faults: world.fabric.message_faults,
            bits_flipped: world.bits_flipped,
            stores_replaced: world.stores.replaced,
            mean_key_gap_us: simulated_us * world.keys.len() as u64 / key_operations.max(1),
            mean_rtt_us: ROUND_TRIP_US,
            trace: world.fabric.trace.into_lines(),
        }
    }

    fn world(&self) -> World {
        let mut random = Random::seeded(self.seed);
        let plan = Plan::draw(&self.config, &mut random);
        let cluster = ClusterId(u128::from(random.bits()) | 1);
        let layout = Arc::new(self.layout(cluster, plan.nodes));
        let siblings_max = *random.pick(&[8, 64]);
        let limits = Limits {
            hedge_delay_ms: 15,
            siblings_max,
            frame_bytes_max: 64 << 20,
            // A run takes about a second, in which damages are to be healed too.
            deadline_ms_default: 80,
            deadline_ms_max: 80,
            heal_timeout_ms: 50,
            delivery_period_ms: 25,
            repair_period_ms: plan.repair_period_ms,
            probe_period_ms: 40,
            probe_timeout_ms: 15,
            suspicion_ms: 80,
            ..Limits::default()
        };
        let secret = ClusterSecret(*b"simulated secret");
        let nodes: Vec<SimulatedNode> = (0..plan.nodes)
            .map(|index| {
                let identity = Identity { cluster, secret: secret.clone(), node: node_id(index) };
                let (table, plugins) = (plan.table(&limits), self.plugins.clone());
                let view = View::new(identity.clone(), Arc::clone(&layout), table, plugins, limits.clone());
                let view = view.unwrap_or_else(|error| panic!("the simulated cluster is refused: {error}"));
                let store = (self.storage)(node_id(index));
                StoreIdentity::write(&*store, &identity, &layout, view.table())
                    .unwrap_or_else(|error| panic!("the storage of node {index} cannot be set up: {error}"));
                SimulatedNode::new(index, view, Arc::new(FaultyDisk::new(store, random.bits())))
            })
            .collect();
        let keys = keys(&plan, &nodes[0].view);
        let history = keys.iter().map(|key| KeyHistory {
            name: format!("{}/{}", plan.buckets[key.bucket].name, key.key.as_bytes().escape_ascii()),
            replicas: key.owners.len(),
            by_stamp: plan.buckets[key.bucket].by_stamp,
            writes: Vec::new(),
            reads: Vec::new(),
            listed: Vec::new(),
            handed_on: Vec::new(),
            restored: Vec::new(),
        });
        let mut world = World {
            history: History::new(history.collect()),
            clients: (0..plan.clients).map(|_| Client::new(keys.len())).collect(),
            fabric: Fabric {
                now_us: 0,
                network: Network::new(&plan),
                plan,
                random,
                queue: Queue::new(),
                trace: Trace::new(self.config.trace),
                flips_after_write: None,
                faults: 0,
                message_faults: 0,
                garbled: 0,
                doubled_repairs: 0,
            },
            flips: vec![0; keys.len()],
            stores: Stores::new(Arc::clone(&self.storage), nodes.len()),
            nodes,
            keys,
            cluster,
            operations: 0,
            succeeded: 0,
            key_operations: 0,
            bits_flipped: 0,
            strays: 0,
            is_over: false,
            checkers_answer: None,
        };
        world.begin();
        world
    }

    fn layout(&self, cluster: ClusterId, nodes: usize) -> Layout {
        let draft = LayoutDraft {
            cluster,
            members: (0..nodes).map(|index| Member::new(node_id(index), format!("node-{index}:1"))).collect(),
            partitioning: Partitioning::new(PARTITIONS).unwrap_or_else(|error| unreachable!("{error}")),
            replicas: 3.min(nodes),
        };
        match Layout::first(draft, &*self.plugins.partitioner, &*self.strategy) {
            Ok((layout, _)) => layout,
            Err(error) => panic!("the strategy made no layout: {error}"),
        }
    }
}

impl World {
    fn begin(&mut self) {
        for node in &mut self.nodes {
            node.start(&mut self.fabric);
            node.disk.fail(&self.fabric.plan.rates, 1);
        }
        for client in 0..self.clients.len() {
            let delay_us = self.fabric.random.below(2_000);
            self.fabric.plan_in(delay_us, Happening::ClientActs(client));
        }
        self.fabric.plan_in(10_000, Happening::Fault);
    }
}
