use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::machine::{Health, MachineStats};
use kv_core::replica::CopyFigures;
use kv_core::storage::StorageStats;
use kv_core::wire::{EpochStatus, RepairStatus};

use crate::node::commits::CommitFigures;
use crate::node::local_gets::LocalGetFigures;
use crate::node::peer_states::PeerFigures;
use crate::node::shared::Shared;

/// What a node did since it started and how it is at one moment: what its metrics are made of.
#[derive(Debug, Clone)]
pub struct NodeFigures {
    /// The node.
    pub node: NodeId,
    /// The release it runs.
    pub release: &'static str,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Whether it does its work.
    pub ready: bool,
    /// Whether its store takes nothing that clients write, for want of space or of an incarnation.
    pub read_only: bool,
    /// Milliseconds between its clock and the median of its peers' clocks.
    pub clock_distance_ms: u64,
    /// What its machine did.
    pub machine: MachineStats,
    /// Gets that were answered where they arrived, without the machine.
    pub local_gets: LocalGetFigures,
    /// Requests that were refused before they became operations, by the kind of the error.
    pub refused: BTreeMap<ErrorKind, u64>,
    /// Operations under way.
    pub operations: u64,
    /// Mutations that wait for the writer, in keys.
    pub mutations: u64,
    /// What its writer did.
    pub commits: CommitFigures,
    /// Versions that arrived at its store and that a resolver let go for concurrent ones.
    pub versions_discarded: u64,
    /// Its store, if that can tell.
    pub storage: Option<StorageStats>,
    /// The other members.
    pub peers: Vec<(NodeId, PeerFigures)>,
    /// How they are, as gossip and their answers show it.
    pub health: Health,
    /// What is kept for owners that were absent.
    pub stand_ins: Vec<(NodeId, CopyFigures)>,
    /// How it compares what it holds with them.
    pub repair: RepairStatus,
    /// How the partitions are getting on of which it is an owner.
    pub epochs: EpochStatus,
}

impl Shared {
    pub(super) fn figures(&self, ready: bool) -> NodeFigures {
        let live = self.live.load_full();
        let (operations, machine, health, repair) = {
            let machine = self.machine.lock();
            let (stats, health) = (machine.stats().clone(), machine.health().clone());
            (machine.waiting() as u64, stats, health, machine.repair_status())
        };
        let others = live.iter().flat_map(|live| live.view.layout.members()).map(|member| member.id);
        NodeFigures {
            node: self.config.node,
            release: env!("CARGO_PKG_VERSION"),
            uptime_s: self.started.elapsed().as_secs_f64(),
            ready,
            read_only: self.space.low().is_some() || self.incarnation().0 == 0,
            clock_distance_ms: live.as_ref().map_or(0, |live| live.peers.distance_ms(self.now())),
            machine,
            local_gets: self.local_gets.figures(),
            refused: self.refusals.get(),
            operations,
            mutations: self.queue.keys() as u64,
            commits: self.commits.lock().clone(),
            versions_discarded: self.versions_discarded.load(Ordering::Relaxed),
            storage: self.config.store.stats().ok(),
            peers: others
                .filter(|peer| *peer != self.config.node)
                .map(|peer| (peer, self.peer_states.get(peer)))
                .collect(),
            health,
            stand_ins: self.stand_ins.figures(),
            repair,
            epochs: live
                .as_ref()
                .map_or_else(Default::default, |live| self.partitions.epochs.figures(&live.view)),
        }
    }
}
