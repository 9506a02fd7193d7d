//! Every metric: what it is called, what it means, and where it comes from.

use kv_core::error::ErrorKind;
use kv_core::membership::Liveness;
use kv_core::replica::CopyFigures;
use kv_core::storage::StorageStats;

use crate::metrics::figures::{Figures, RespFigures};
use crate::metrics::metric::{Metric, MetricType};
use crate::metrics::samples::Samples;
use crate::node::PeerFigures;

/// A metric and where its samples come from.
pub(super) struct Row {
    pub(super) metric: Metric,
    pub(super) read: fn(&Figures<'_>, &mut Samples<'_>),
}

macro_rules! metrics {
    ($($name:literal $type:ident [$($label:literal),*] $help:literal, $read:expr;)*) => {
        /// All metrics, in the order in which they are told.
        pub(super) static TABLE: &[Row] = &[$(Row {
            metric: Metric { name: $name, metric_type: MetricType::$type, labels: &[$($label),*], help: $help },
            read: $read,
        }),*];
    };
}

metrics! {
    "kv_build_info" Gauge ["node", "release"] "Which node this is and what it runs; always 1.",
        |from, to| to.add([&from.node.node, &from.node.release], 1);
    "kv_uptime_seconds" Gauge [] "Time since the node started.",
        |from, to| to.one(from.node.uptime_s);
    "kv_ready" Gauge [] "1 if the node does its work, as GET /ready says; 0 if not.",
        |from, to| to.one(u8::from(from.node.ready));
    "kv_read_only" Gauge [] "1 if the node's store takes nothing that clients write: space is low (limits.free_bytes_min), or no incarnation can be stored; 0 if it does.",
        |from, to| to.one(u8::from(from.node.read_only));
    "kv_clock_distance_seconds" Gauge [] "Between the node's clock and the median of its peers' clocks.",
        |from, to| to.one(from.node.clock_distance_ms as f64 / 1e3);

    "kv_gets_total" Counter ["outcome"] "Gets that ended at this node as their coordinator, each key of a batch for itself.",
        gets;
    "kv_puts_total" Counter ["outcome"] "Puts and deletes that ended at this node, each key of a batch for itself. One that is handed to an owner counts at both.",
        puts;
    "kv_scans_total" Counter ["outcome"] "Pages of scans that ended at this node.",
        scans;
    "kv_operation_errors_total" Counter ["kind"] "Gets, puts and pages of scans that did not end well, by the kind of their error (docs/operations.md): a quorum that was not reached is Unavailable or DeadlineExceeded.",
        |from, to| kinds(&from.node.machine.errors, to);
    "kv_refused_requests_total" Counter ["kind"] "Requests of clients and peers that were refused before they became operations, by the kind of the error; a batch counts once.",
        |from, to| kinds(&from.node.refused, to);
    "kv_shed_operations_total" Counter [] "Operations refused because limits.operations_max were under way.",
        |from, to| to.one(from.node.machine.shed);
    "kv_forwarded_puts_total" Counter [] "Puts that this node handed to an owner.",
        |from, to| to.one(from.node.machine.forwarded);
    "kv_repairs_total" Counter [] "Records sent to owners that were behind, this node among them.",
        |from, to| to.one(from.node.machine.repairs);
    "kv_repairs_left_out_total" Counter [] "Records that reads found owners to lack and that were not sent, because the same was under way or too many were.",
        |from, to| to.one(from.node.machine.repairs_left_out);

    "kv_damages_seen_total" Counter [] "Damaged records that owners reported to gets of this node, itself among them; each is healed from the others.",
        |from, to| to.one(from.node.machine.damages_seen);

    "kv_get_duration_seconds" Histogram [] "From the beginning of a get to its answer or failure, at its coordinator; without gets that one record of this node answered where they arrived.",
        |from, to| to.seconds(&from.node.machine.get_us);
    "kv_local_get_sampled_duration_seconds" Histogram [] "The same for gets that one record of this node answered where they arrived, about one of 64: _count is not how many there were.",
        |from, to| to.fine_seconds(&from.node.local_gets.sampled_ns);
    "kv_put_duration_seconds" Histogram [] "From the beginning of a put or delete to its answer or failure, at its coordinator.",
        |from, to| to.seconds(&from.node.machine.put_us);
    "kv_scan_duration_seconds" Histogram [] "From the beginning of a page of a scan to its answer or failure, at its coordinator.",
        |from, to| to.seconds(&from.node.machine.scan_us);
    "kv_get_values" Histogram [] "How many concurrent values (siblings) the gets that were answered showed; 0 for a key that is not there.",
        values;

    "kv_operations_waiting" Gauge [] "Operations under way at this node as their coordinator, of limits.operations_max.",
        |from, to| to.one(from.node.operations);
    "kv_mutations_waiting" Gauge [] "Keys whose changes wait for the writer, of limits.mutations_max.",
        |from, to| to.one(from.node.mutations);
    "kv_commit_keys" Histogram [] "How many keys each commit of the writer was about.",
        |from, to| to.histogram(&from.node.commits.keys);
    "kv_commit_duration_seconds" Histogram [] "How long each commit took in the storage engine, also those that failed.",
        |from, to| to.fine_seconds(&from.node.commits.ns);
    "kv_commit_bytes_total" Counter [] "Bytes of keys and values that the writer stored.",
        |from, to| to.one(from.node.commits.bytes);
    "kv_commit_failures_total" Counter ["outcome"] "Commits that failed: not_written stored nothing; after unknown the node stops.",
        commit_failures;
    "kv_versions_discarded_total" Counter [] "Versions that came to this node's store and that a resolver let go for a concurrent one.",
        |from, to| to.one(from.node.versions_discarded);

    "kv_storage_entries" Gauge [] "Entries of the store: of all buckets, with tombstones and the store's own.",
        |from, to| storage(from, to, |stats| Some(stats.entries));
    "kv_storage_used_bytes" Gauge [] "Bytes that the store takes on its device, or in memory.",
        |from, to| storage(from, to, |stats| Some(stats.bytes_used));
    "kv_storage_free_bytes" Gauge [] "Bytes that the store can still take, where that is known, without storage.reserve_bytes; below limits.free_bytes_min the node takes no writes.",
        |from, to| storage(from, to, |stats| stats.bytes_free);
    "kv_storage_syncs_total" Counter [] "Synchronisations with the device since the store was opened.",
        |from, to| storage(from, to, |stats| Some(stats.syncs));
    "kv_storage_batches_total" Counter [] "Batches written since the store was opened.",
        |from, to| storage(from, to, |stats| Some(stats.batches));

    "kv_peer_up" Gauge ["peer"] "1 if the last call of this node to the peer was answered, 0 if not; missing before the first call.",
        |from, to| peers(from, to, |peer| peer.answers.map(u64::from));
    "kv_peer_calls_total" Counter ["peer", "outcome"] "Calls of this node to the peer: answered, or failed (not sent, broken, or too late).",
        peer_calls;
    "kv_peer_sent_bytes_total" Counter ["peer"] "Bytes of the requests of this node to the peer; what it answers to the peer's is not counted.",
        |from, to| peers(from, to, |peer| Some(peer.sent_bytes));
    "kv_peer_received_bytes_total" Counter ["peer"] "Bytes of the peer's answers to this node; its requests are not counted.",
        |from, to| peers(from, to, |peer| Some(peer.received_bytes));

    "kv_peer_state" Gauge ["peer", "state"] "1 for what the failure detector of this node makes of the peer, 0 for everything else: up, unheard (not yet), suspected, down.",
        peer_states;
    "kv_peer_latency_seconds" Gauge ["peer"] "How long the peer's answers to reads and writes take, smoothed; missing before the first.",
        peer_latencies;

    "kv_repair_rounds_total" Counter [] "Rounds that are over in which this node compared what it holds with every other owner.",
        |from, to| to.one(from.node.repair.rounds_ended);
    "kv_repair_exchanges_total" Counter ["outcome"] "Partitions of buckets that this node compared with another owner: same, if they were the same or were made so; failed, if that could not be done at the time.",
        |from, to| {
            to.add([&"same"], from.node.repair.exchanges);
            to.add([&"failed"], from.node.repair.failures);
        };
    "kv_repair_keys_total" Counter ["outcome"] "Keys in which owners differed: repaired, or failed if that could not be done at the time.",
        |from, to| {
            to.add([&"repaired"], from.node.repair.keys_repaired);
            to.add([&"failed"], from.node.repair.keys_failed);
        };
    "kv_repair_oldest_exchange_seconds" Gauge [] "Since the last exchange of that partition and peer for which it is longest ago.",
        |from, to| to.one(from.node.repair.oldest_ms as f64 / 1e3);
    "kv_partitions" Gauge ["state"] "Partitions of buckets of which this node is an owner: all; recovering, which lack something and do not count in reads; ageing, which hold something deleted or expiring that goes when epochs have gone by.",
        |from, to| {
            to.add([&"all"], from.node.epochs.partitions);
            to.add([&"recovering"], from.node.epochs.recovering);
            to.add([&"ageing"], from.node.epochs.ageing);
        };
    "kv_epoch_lowest" Gauge [] "The lowest epoch of any of those partitions.",
        |from, to| to.one(from.node.epochs.lowest.0);
    "kv_epoch_highest" Gauge [] "The highest.",
        |from, to| to.one(from.node.epochs.highest.0);

    "kv_stand_in_copies" Gauge ["owner"] "Copies that this node keeps because their owner was absent.",
        |from, to| stand_ins(from, to, |kept| kept.copies);
    "kv_stand_in_bytes" Gauge ["owner"] "Their bytes in the store, of limits.stand_in_bytes_max.",
        |from, to| stand_ins(from, to, |kept| kept.bytes);
    "kv_stand_in_delivered_total" Counter [] "Copies that their owners have committed.",
        |from, to| to.one(from.node.machine.copies_delivered);
    "kv_stand_in_stale_total" Counter [] "Copies that their owners refused because they were read too long ago: delivered before, or counted by nobody. They are dropped.",
        |from, to| to.one(from.node.machine.copies_stale);

    "kv_stand_in_damaged_total" Counter [] "Copies that could not be read any more. They are dropped: what was in them is lost, unless another node has it.",
        |from, to| to.one(from.node.machine.copies_damaged);

    "kv_resp_connections_open" Gauge [] "Connections of clients of Redis that are open.",
        |from, to| resp(from, to, |resp| resp.connections_open);
    "kv_resp_connections_total" Counter [] "Connections of clients of Redis in all.",
        |from, to| resp(from, to, |resp| resp.connections);
    "kv_resp_commands_total" Counter ["command"] "Commands of clients of Redis (docs/redis.md); refused and unknown are those that are not served.",
        resp_commands;
    "kv_resp_protocol_errors_total" Counter [] "Connections of clients of Redis that were closed because what came over them was not the protocol.",
        |from, to| resp(from, to, |resp| resp.protocol_errors);
}

fn gets(from: &Figures<'_>, to: &mut Samples<'_>) {
    let machine = &from.node.machine;
    to.add([&"answered"], machine.gets_answered + from.node.local_gets.values.count());
    to.add([&"failed"], machine.gets_failed);
}

fn puts(from: &Figures<'_>, to: &mut Samples<'_>) {
    let machine = &from.node.machine;
    to.add([&"applied"], machine.puts_applied);
    to.add([&"not_applied"], machine.puts_not_applied);
    to.add([&"indeterminate"], machine.puts_indeterminate);
}

fn scans(from: &Figures<'_>, to: &mut Samples<'_>) {
    let machine = &from.node.machine;
    to.add([&"answered"], machine.scans_answered);
    to.add([&"failed"], machine.scans_failed);
}

/// A sample for every kind there is: a series that begins with its first error would hide that one from rates.
fn kinds(counts: &std::collections::BTreeMap<ErrorKind, u64>, to: &mut Samples<'_>) {
    for kind in ErrorKind::ALL {
        to.add([&kind.name()], counts.get(kind).copied().unwrap_or(0));
    }
}

fn values(from: &Figures<'_>, to: &mut Samples<'_>) {
    let mut values = from.node.machine.values.clone();
    values.merge(&from.node.local_gets.values);
    to.histogram(&values);
}

fn commit_failures(from: &Figures<'_>, to: &mut Samples<'_>) {
    to.add([&"not_written"], from.node.commits.not_written);
    to.add([&"unknown"], from.node.commits.unknown);
}

fn storage(from: &Figures<'_>, to: &mut Samples<'_>, read: impl Fn(&StorageStats) -> Option<u64>) {
    if let Some(value) = from.node.storage.as_ref().and_then(read) {
        to.one(value);
    }
}

fn peers(from: &Figures<'_>, to: &mut Samples<'_>, read: impl Fn(&PeerFigures) -> Option<u64>) {
    for (peer, figures) in &from.node.peers {
        if let Some(value) = read(figures) {
            to.add([peer], value);
        }
    }
}

fn peer_calls(from: &Figures<'_>, to: &mut Samples<'_>) {
    for (peer, figures) in &from.node.peers {
        to.add([peer, &"answered"], figures.answered);
        to.add([peer, &"failed"], figures.failed);
    }
}

fn peer_states(from: &Figures<'_>, to: &mut Samples<'_>) {
    for (peer, _) in &from.node.peers {
        let present = from.node.health.peer(*peer).liveness;
        for state in [Liveness::Up, Liveness::Unheard, Liveness::Suspected, Liveness::Down] {
            to.add([peer, &state.name()], u64::from(state == present));
        }
    }
}

fn peer_latencies(from: &Figures<'_>, to: &mut Samples<'_>) {
    for (peer, _) in &from.node.peers {
        match from.node.health.peer(*peer).latency_us {
            0 => {}
            latency_us => to.add([peer], latency_us as f64 / 1e6),
        }
    }
}

fn stand_ins(from: &Figures<'_>, to: &mut Samples<'_>, read: impl Fn(&CopyFigures) -> u64) {
    for (owner, kept) in &from.node.stand_ins {
        to.add([owner], read(kept));
    }
}

fn resp(from: &Figures<'_>, to: &mut Samples<'_>, read: impl Fn(&RespFigures) -> u64) {
    if let Some(figures) = from.resp {
        to.one(read(figures));
    }
}

fn resp_commands(from: &Figures<'_>, to: &mut Samples<'_>) {
    for (command, count) in from.resp.iter().flat_map(|figures| &figures.commands) {
        to.add([command], count);
    }
}
