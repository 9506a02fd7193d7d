//! The table of settings.

use super::ServerConfig;
use super::forms::{
    address, address_or_off, duration, millis, node, number, path, share, size, text, truth, word,
};

/// One setting: its name, what it means, how it is read and written.
pub(super) struct Setting {
    /// The name in the file; before the dot its section.
    pub(super) key: &'static str,
    /// What it means, for `--print-config`.
    pub(super) help: &'static str,
    /// Sets it from text.
    pub(super) set: fn(&mut ServerConfig, &str) -> Result<(), String>,
    /// Its value in TOML, or none if it has none.
    pub(super) get: fn(&ServerConfig) -> Option<String>,
}

/// The table of members, which is no single value.
pub(super) const MEMBERS: &str = "members";

macro_rules! settings {
    ($($key:literal => $($field:ident).+ : $form:ident, $help:literal;)*) => {
        /// Every setting, in the order in which it is printed.
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            help: $help,
            set: |config, text| { config.$($field).+ = $form::read(text)?; Ok(()) },
            get: |config| $form::show(&config.$($field).+),
        }),*];
    };
}

settings! {
    "node" => node: node, "the id of this node, a number from 1 that no other node has";
    "data" => data: path, "the directory in which the node keeps its data; its parent must exist";
    "listen" => listen: address, "where peers and clients reach this node";
    "advertise" => advertise: address_or_off, "where the other members reach this node, if something stands between; off: at listen";
    "admin" => admin: address_or_off, "where health, readiness, status and metrics are told over HTTP, or off";
    "resp" => resp: address_or_off, "where clients of Redis reach this node, or off";
    "insecure" => insecure: truth, "listen beyond loopback, although nothing is encrypted and everybody may read and write";
    "threads" => threads: number, "threads that serve connections; one for each core that the node has for itself";
    "drain" => drain: duration, "longest time in which requests under way may finish after SIGTERM";

    "log.format" => log_format: word, "text or json";
    "log.filter" => log_filter: text, "which events are logged: off, error, warn, info, debug, trace, also by module";
    "log.trace_sample" => trace_sample: share, "share of the operations that is followed across nodes and told in spans, 0 to 1";

    "storage.engine" => engine: word, "lmdb, or memory for data that may be lost with the process";
    "storage.create" => creation: word, "if_missing, or never: then a volume that is not mounted is an error";
    "storage.map_bytes" => map_bytes: size, "largest size of the store; takes address space only";
    "storage.reserve_bytes" => reserve_bytes: size, "space of the disk that writes leave free";
    "storage.set_aside_damaged" => set_aside_damaged: truth, "set a damaged store aside and begin anew, if the other members have what was in it";
    "storage.reads_may_block" => reads_may_block: truth, "say true if the data is larger than the memory";

    "cluster.replicas" => replicas: number, "replicas of each key (N) in the buckets that a new cluster begins with";
    "cluster.partitions" => partitions: number, "partitions of a new cluster, a power of two";
    "cluster.durability" => durability: word, "synced, or buffered: writes may be lost if the machine crashes";
    "cluster.strategy" => strategy: word, "how partitions are placed on members: balanced or hash_ring";

    "limits.key_bytes_max" => limits.key_bytes_max: size, "longest key";
    "limits.value_bytes_max" => limits.value_bytes_max: size, "largest value";
    "limits.record_bytes_max" => limits.record_bytes_max: size, "largest record: all values of a key with their history";
    "limits.siblings_max" => limits.siblings_max: number, "most concurrent values of a key";
    "limits.frame_bytes_max" => limits.frame_bytes_max: size, "largest message; at least (replicas + 1) x record_bytes_max";
    "limits.batch_keys_max" => limits.batch_keys_max: number, "most keys in one request";
    "limits.operations_max" => limits.operations_max: number, "most client operations that run at a time";
    "limits.mutations_max" => limits.mutations_max: number, "most writes that wait for the store";
    "limits.commit_batch_max" => limits.commit_batch_max: number, "most writes in one commit";
    "limits.requests_in_flight_max" => limits.requests_in_flight_max: number, "most requests under way to one peer or on one connection";
    "limits.buckets_max" => limits.buckets_max: number, "most buckets";
    "limits.deadline_ms_default" => limits.deadline_ms_default: millis, "time that an operation has if it does not say";
    "limits.deadline_ms_max" => limits.deadline_ms_max: millis, "longest time that an operation may ask for";
    "limits.hedge_delay_ms" => limits.hedge_delay_ms: millis, "how long a read waits before it asks one more replica";
    "limits.heal_timeout_ms" => limits.heal_timeout_ms: millis, "how long the repair of a damaged record waits for owners that do not answer";
    "limits.stand_in_bytes_max" => limits.stand_in_bytes_max: size, "most bytes of copies that a node keeps for owners that are absent";
    "limits.free_bytes_min" => limits.free_bytes_min: size, "bytes that the store keeps free for the node itself: with less it takes no writes until twice as much is free; 0 for never";
    "limits.delivery_period_ms" => limits.delivery_period_ms: millis, "how often a node looks whether such an owner is back";
    "limits.repair_period_ms" => limits.repair_period_ms: millis, "how often a node compares what it holds with the others; 0 for never";
    "limits.probe_period_ms" => limits.probe_period_ms: millis, "how often a node probes another";
    "limits.probe_timeout_ms" => limits.probe_timeout_ms: millis, "how long a probe is waited for before other nodes probe too";
    "limits.suspicion_ms" => limits.suspicion_ms: millis, "how long a node that answers nobody is suspected before it counts as down";
    "limits.clock_drift_ms_max" => limits.clock_drift_ms_max: millis, "how far clocks may be apart before a node takes no writes";
}

/// The setting of that name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The environment variable of a setting.
pub(super) fn variable(key: &str) -> String {
    format!("KV_{}", key.to_uppercase().replace('.', "_"))
}
