use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv_core::error::{Error, ErrorKind};
use kv_core::histogram::Histogram;
use kv_core::ids::{BucketId, NodeId};
use kv_core::machine::{Health, MachineStats, PeerHealth};
use kv_core::replica::CopyFigures;
use kv_core::tree::TreeId;
use kv_core::wire::{AnswerBody, NodeStatus, PeerStatus};

use crate::node::shared::Shared;

impl Shared {
    /// Why the node does not do its work fully; empty if it does.
    pub(super) fn trouble(&self) -> String {
        if let Some(error) = &*self.stopped.borrow() {
            return error.to_string();
        }
        if self.live.load().is_none() {
            return "belongs to no cluster yet: run kv cluster init".into();
        }
        if self.incarnation().0 == 0 {
            return "takes no writes: no incarnation can be stored; free space on its disk".into();
        }
        if let Some(low) = self.space.low() {
            return format!("takes no writes: {low}");
        }
        String::new()
    }

    pub(super) fn status(self: &Arc<Self>) -> NodeStatus {
        let live = self.live.load_full();
        let (operations, stats, health, repair) = {
            let machine = self.machine.lock();
            let (stats, health) = (machine.stats().clone(), machine.health().clone());
            (machine.waiting() as u64, stats, health, machine.repair_status())
        };
        let copies = self.stand_ins.figures();
        let peers = live.iter().flat_map(|live| live.view.layout.members()).map(|member| member.id);
        NodeStatus {
            node: self.config.node,
            release: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            cluster: live.as_ref().map(|live| live.view.identity.cluster),
            layout: live.as_ref().map_or(0, |live| live.view.layout.version()),
            incarnation: self.incarnation(),
            trouble: self.trouble(),
            storage: self.config.store.stats().unwrap_or_default(),
            operations,
            mutations: self.queue.keys() as u64,
            clock_distance_ms: live.as_ref().map_or(0, |live| live.peers.distance_ms(self.now())),
            counters: counters(
                &stats,
                &self.local_gets.figures().values,
                self.versions_discarded.load(Ordering::Relaxed),
            ),
            peers: peers
                .filter(|peer| *peer != self.config.node)
                .map(|peer| self.peer_status(peer, &health, &copies))
                .collect(),
            repair,
            epochs: live
                .as_ref()
                .map_or_else(Default::default, |live| self.partitions.epochs.figures(&live.view)),
        }
    }

    /// How the partitions of a bucket are getting on of which this node is an owner.
    pub(super) fn partition_status(&self, bucket: BucketId) -> Result<AnswerBody, Error> {
        let live = self.live.load_full();
        let Some((live, known)) =
            live.as_ref().and_then(|live| Some((live, live.view.bucket_by_id(bucket)?)))
        else {
            return Err(Error::new(ErrorKind::UnknownBucket, "this node has no such bucket"));
        };
        let mut all = self.partitions.epochs.of_bucket(&live.view, known);
        let (now, machine) = (self.now(), self.machine.lock());
        for status in &mut all {
            status.exchanged = machine.exchanged_ms(TreeId { bucket, partition: status.partition }, now);
        }
        Ok(AnswerBody::Partitions(all))
    }

    fn peer_status(&self, node: NodeId, health: &Health, copies: &[(NodeId, CopyFigures)]) -> PeerStatus {
        let kept = copies.iter().find(|(owner, _)| *owner == node).map(|(_, kept)| *kept).unwrap_or_default();
        let PeerHealth { liveness, latency_us, .. } = health.peer(node);
        PeerStatus {
            node,
            answers: self.peer_states.get(node).answers,
            liveness,
            latency_us,
            copies: kept.copies,
            copies_bytes: kept.bytes,
        }
    }
}

fn counters(stats: &MachineStats, local: &Histogram, versions_discarded: u64) -> Vec<(String, u64)> {
    let mut values = stats.values.clone();
    values.merge(local);
    let one_or_none = values.cumulative().find(|(bound, _)| *bound == Some(1)).map_or(0, |(_, count)| count);
    let siblings = values.count().saturating_sub(one_or_none);
    let local_gets = local.count();
    let named = [
        ("gets_answered", stats.gets_answered + local_gets),
        ("gets_failed", stats.gets_failed),
        ("gets_with_siblings", siblings),
        ("puts_applied", stats.puts_applied),
        ("puts_not_applied", stats.puts_not_applied),
        ("puts_indeterminate", stats.puts_indeterminate),
        ("scans_answered", stats.scans_answered),
        ("scans_failed", stats.scans_failed),
        ("repairs", stats.repairs),
        ("repairs_left_out", stats.repairs_left_out),
        ("damages_seen", stats.damages_seen),
        ("copies_delivered", stats.copies_delivered),
        ("copies_stale", stats.copies_stale),
        ("copies_damaged", stats.copies_damaged),
        ("forwarded", stats.forwarded),
        ("shed", stats.shed),
        ("versions_discarded", versions_discarded),
    ];
    named.into_iter().map(|(name, count)| (name.to_string(), count)).collect()
}
