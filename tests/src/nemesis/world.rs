//! A cluster of real processes and what is done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::bucket::{BucketProperties, Quorum, QuorumMode};
use kv_core::wire::BucketChange;

use crate::cluster::{Cluster, Place};
use crate::nemesis::clocks::Clocks;
use crate::nemesis::disk::Disks;
use crate::nemesis::history::Injected;
use crate::nemesis::network::{Network, Rule};
use crate::nemesis::recorder::Recorder;
use crate::nemesis::schedule::Fault;
use crate::nemesis::tracer::Tracer;
use crate::process::{PATIENCE, Surroundings, tail};

/// In what time a node notices that its disk has failed.
const NOTICED: Duration = Duration::from_millis(200);
/// Clocks that are off by less need not be seen to be, in seconds.
const HOUR: u64 = 3_600;

/// What nodes have of their own, besides their network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// A disk.
    pub disks: bool,
    /// A clock.
    pub clocks: bool,
    /// No device that makes anything durable, whatever it says (libeatmydata).
    pub lying_disks: bool,
}

/// Nodes, each with its network, and its disk and clock where that is needed. Everything goes when this is dropped, the nodes first.
#[derive(Debug)]
pub struct World {
    /// The nodes.
    pub cluster: Cluster,
    network: Network,
    disks: Option<Disks>,
    clocks: Option<Clocks>,
    recorder: Arc<Recorder>,
    active: BTreeMap<u64, Active>,
    tracers: BTreeMap<u64, Tracer>,
    /// Nodes that are down on purpose.
    down: BTreeSet<usize>,
    /// Nodes that ended by themselves although nothing was done to them.
    pub ended: Vec<String>,
    /// By which means the machine does what it can do in several ways.
    pub notes: BTreeSet<String>,
    /// For faults that might do nothing unnoticed: how often they were injected, and how often they showed.
    pub effects: BTreeMap<&'static str, Effect>,
    /// How often the log of each node has said that the disk is full, as far as that was counted.
    refused: BTreeMap<usize, usize>,
}

/// Whether faults of a kind did anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// How often they were injected.
    pub injected: usize,
    /// How often it was seen that they did something.
    pub seen: usize,
}

/// A fault that is not over.
#[derive(Debug)]
struct Active {
    fault: Fault,
    begin_us: u64,
}

impl World {
    /// Makes all that is needed, and a cluster whose nodes have the arguments `more` besides.
    ///
    /// # Errors
    ///
    /// What the machine lacks or forbids.
    pub async fn make(
        nodes: usize,
        needs: Needs,
        more: &[&str],
        recorder: Arc<Recorder>,
    ) -> anyhow::Result<Self> {
        let network = Network::make(nodes).await?;
        let directory = tempfile::tempdir()?;
        let disks = if needs.disks { Some(Disks::make(nodes).await?) } else { None };
        let clocks = if needs.clocks { Some(Clocks::make(directory.path(), nodes)?) } else { None };
        let mut environment = Vec::new();
        if needs.lying_disks {
            let library = super::clocks::library("libeatmydata.so");
            let library = library.ok_or_else(|| anyhow::anyhow!("needed: apt-get install eatmydata"))?;
            environment.push(("LD_PRELOAD".to_string(), library.display().to_string()));
        }
        let place = |node: usize| {
            let data = match &disks {
                Some(disks) => disks.disk(node).path().join("data"),
                None => directory.path().join(format!("node-{}", node + 1)),
            };
            let own = clocks.as_ref().map(|clocks| clocks.environment(node)).unwrap_or_default();
            Place {
                listen: format!("{}:7380", network.address(node)),
                admin: format!("{}:7381", network.address(node)),
                data,
                surroundings: Surroundings {
                    namespace: Some(network.namespace(node)),
                    environment: [environment.clone(), own].concat(),
                },
            }
        };
        let places = (0..nodes).map(place).collect();
        let space = ["--set", "storage.reserve_bytes=8MiB", "--set", "limits.free_bytes_min=8MiB"];
        let own = [&["--insecure"][..], &space].concat();
        let cluster = Cluster::start_at(directory, places, &[&own[..], more].concat()).await?;
        Ok(World {
            cluster,
            network,
            disks,
            clocks,
            recorder,
            active: BTreeMap::new(),
            tracers: BTreeMap::new(),
            down: BTreeSet::new(),
            ended: Vec::new(),
            notes: BTreeSet::new(),
            effects: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    /// Looks whether this machine has and allows what faults need.
    ///
    /// # Errors
    ///
    /// What it lacks or forbids.
    pub async fn probe() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        Network::make(1).await?;
        Disks::make(1).await?;
        Clocks::make(directory.path(), 1)?;
        Ok(())
    }

    /// Makes a bucket with N = 3.
    ///
    /// # Errors
    ///
    /// If the cluster does not.
    pub async fn create(&self, name: &str, quorum: QuorumMode, resolver: &str) -> anyhow::Result<()> {
        let properties = BucketProperties {
            r: Quorum::Majority,
            quorum,
            resolver: resolver.to_string(),
            ..BucketProperties::default()
        };
        let client = self.cluster.client(PATIENCE)?;
        client.change_bucket(BucketChange::Create(name.to_string(), properties)).await?;
        client.shut_down().await;
        Ok(())
    }

    /// Makes durable what the disks hold now, whatever they say otherwise.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn sync(&self) -> anyhow::Result<()> {
        (0..self.cluster.len())
            .try_for_each(|node| self.disks.as_ref().map_or(Ok(()), |all| all.disk(node).sync()))
    }

    /// Begins a fault.
    ///
    /// # Errors
    ///
    /// What the machine forbids.
    pub async fn begin(&mut self, number: u64, fault: &Fault) -> anyhow::Result<()> {
        let begin_us = self.recorder.now_us();
        self.active.insert(number, Active { fault: fault.clone(), begin_us });
        let nodes = fault.nodes();
        match fault {
            Fault::Kill(_) => self.kill(&nodes),
            Fault::Pause(_) => nodes.iter().for_each(|node| self.cluster.signal(*node, libc::SIGSTOP)),
            Fault::Partition(_) => {
                let both = [self.cuts(&nodes, true), self.cuts(&nodes, false)].concat();
                self.network.add(number, both).await?;
            }
            Fault::Deaf(_) => self.network.add(number, self.cuts(&nodes, true)).await?,
            Fault::Mute(_) => self.network.add(number, self.cuts(&nodes, false)).await?,
            Fault::Flap(node) => self.network.plug(*node, false).await?,
            Fault::Lossy(_, percent, delay) => {
                let loss = |to: &usize| Rule::Loss { to: *to, percent: *percent };
                self.network.add(number, nodes.iter().map(loss).collect()).await?;
                for node in nodes {
                    let means = self.network.delay(node, *delay).await?;
                    self.notes.insert(format!("loss by nft, delay by {means}"));
                }
            }
            Fault::DiskFull(_) => nodes.iter().try_for_each(|node| self.disk(*node).fill())?,
            Fault::PowerCut(_) => {
                // The machine ends at once: first nothing is written any more, then nothing is run.
                nodes.iter().try_for_each(|node| self.disk(*node).cut_power())?;
                self.kill(&nodes);
            }
            Fault::FailingSync(node, first) => {
                if let Some(process) = self.cluster.pid(*node) {
                    self.tracers.insert(number, Tracer::attach(process, *first).await?);
                }
            }
            Fault::Skew(node, seconds) => self.clocks().set(*node, *seconds)?,
            Fault::Restart { node, gently: true } => {
                self.down.insert(*node);
                self.cluster.terminate(*node).await?;
            }
            Fault::Restart { gently: false, .. } => self.kill(&nodes),
        }
        Ok(())
    }

    /// Ends a fault.
    ///
    /// # Errors
    ///
    /// What the machine forbids, and if a node does not start.
    pub async fn end(&mut self, number: u64) -> anyhow::Result<()> {
        let Some(Active { fault, begin_us }) = self.active.remove(&number) else { return Ok(()) };
        let nodes = fault.nodes();
        match &fault {
            Fault::Kill(_) | Fault::Restart { .. } => self.start(&nodes)?,
            Fault::Pause(_) => nodes.iter().for_each(|node| self.cluster.signal(*node, libc::SIGCONT)),
            Fault::Partition(_) | Fault::Deaf(_) | Fault::Mute(_) => self.network.remove(number).await?,
            Fault::Flap(node) => self.network.plug(*node, true).await?,
            Fault::Lossy(..) => {
                self.network.remove(number).await?;
                nodes.iter().for_each(|node| self.network.hurry(*node));
            }
            Fault::DiskFull(_) => {
                for node in &nodes {
                    let log = std::fs::read_to_string(self.cluster.log(*node))?;
                    let count = log.matches("a batch was not written").count();
                    let before = self.refused.insert(*node, count).unwrap_or_default();
                    self.effect("disks that were full and refused a batch", count > before);
                    self.disk(*node).free()?;
                }
            }
            Fault::PowerCut(_) => {
                for node in &nodes {
                    self.disk(*node).restore_power().await?;
                }
                self.start(&nodes)?;
            }
            Fault::FailingSync(node, _) => {
                if let Some(tracer) = self.tracers.remove(&number) {
                    tracer.detach().await;
                }
                // A node whose disk fails ends by itself; whoever looks after it starts it again.
                let has_ended = self.has_ended(*node).await;
                self.effect("disks that failed and whose node ended", has_ended);
                if has_ended {
                    self.start(&nodes)?;
                }
            }
            Fault::Skew(node, seconds) => {
                if seconds.unsigned_abs() >= HOUR {
                    let distance =
                        self.cluster.status(*node).await.map_or(0, |status| status.clock_distance_ms);
                    self.effect("clocks that were wrong and seen to be", distance / 1_000 >= HOUR / 2);
                }
                self.clocks().set(*node, 0)?;
            }
        }
        self.recorder.fault(Injected {
            what: format!("{fault:?}"),
            nodes: nodes.iter().map(|node| node + 1).collect(),
            begin_us,
            end_us: self.recorder.now_us(),
        });
        Ok(())
    }

    /// What goes on while faults last: loose cables come and go, and nodes that end by themselves are noted and started again.
    ///
    /// # Errors
    ///
    /// What the machine forbids, and if a node cannot be started.
    pub async fn tick(&mut self) -> anyhow::Result<()> {
        for active in self.active.values() {
            if let Fault::Flap(node) = active.fault {
                self.network.plug(node, rand::random_bool(0.5)).await?;
            }
        }
        for node in 0..self.cluster.len() {
            let may_end = |active: &Active| matches!(active.fault, Fault::FailingSync(of, _) if of == node);
            let is_excused = self.down.contains(&node) || self.active.values().any(may_end);
            if !is_excused && self.cluster.pid(node).is_none() {
                self.ended.push(format!(
                    "node {} ended by itself; {}",
                    node + 1,
                    tail(&self.cluster.log(node))
                ));
                self.start(&[node])?;
            }
        }
        Ok(())
    }

    /// Ends all faults that are not over.
    ///
    /// # Errors
    ///
    /// As [`World::end`].
    pub async fn end_all(&mut self) -> anyhow::Result<()> {
        for number in self.active.keys().copied().collect::<Vec<_>>() {
            self.end(number).await?;
        }
        Ok(())
    }

    /// Whether a node whose disk failed has ended, or is about to: then waits until it has.
    async fn has_ended(&mut self, node: usize) -> bool {
        // The last call that failed may not have been noticed yet.
        tokio::time::sleep(NOTICED).await;
        let is_well = self.cluster.status(node).await.is_ok_and(|status| status.trouble.is_empty());
        let end = Instant::now() + PATIENCE;
        while !is_well && self.cluster.pid(node).is_some() && Instant::now() < end {
            tokio::time::sleep(NOTICED).await;
        }
        self.cluster.pid(node).is_none()
    }

    fn effect(&mut self, what: &'static str, is_seen: bool) {
        let effect = self.effects.entry(what).or_default();
        effect.injected += 1;
        effect.seen += usize::from(is_seen);
    }

    fn kill(&mut self, nodes: &[usize]) {
        self.down.extend(nodes);
        self.cluster.kill(nodes);
    }

    fn start(&mut self, nodes: &[usize]) -> anyhow::Result<()> {
        for node in nodes {
            self.down.remove(node);
            self.cluster.spawn(*node)?;
        }
        Ok(())
    }

    /// Rules by which these nodes do not hear the others, or the others not these.
    fn cuts(&self, nodes: &[usize], are_deaf: bool) -> Vec<Rule> {
        let others = (0..self.cluster.len()).filter(|node| !nodes.contains(node));
        let pairs = others.flat_map(|other| nodes.iter().map(move |node| (other, *node)));
        let cut = |(other, node)| {
            let (from, to) = if are_deaf { (other, node) } else { (node, other) };
            Rule::Cut { from, to }
        };
        pairs.map(cut).collect()
    }

    fn disk(&self, node: usize) -> &super::disk::Disk {
        self.disks.as_ref().expect("the scenario has disks").disk(node)
    }

    fn clocks(&self) -> &Clocks {
        self.clocks.as_ref().expect("the scenario has clocks")
    }
}
