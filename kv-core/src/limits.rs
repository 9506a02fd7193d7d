//! Every bound of the system, in one place.

use serde::{Deserialize, Serialize};

use crate::codec::LIST_ITEMS_MAX;
use crate::error::{Error, ErrorKind};

/// Longest key that any configuration may allow, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Most replicas that one key may have; owners of a key fit a 32-bit set.
pub const REPLICAS_MAX: usize = 16;

/// Latest time at which a value may expire, in milliseconds since 1970, and longest that it may live: as far as stamps go, to the year 10889.
pub const EXPIRY_MS_MAX: u64 = (1 << 48) - 1;

/// The bounds of a node. Past each of them stands a clear error and nothing is lost.
///
/// Sizes are bytes, times are milliseconds. All nodes of a cluster should use the same values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest key, 1 to 1,024.
    pub key_bytes_max: usize,
    /// Largest value that a put accepts.
    pub value_bytes_max: usize,
    /// Largest encoded record (all siblings with their pasts) that a coordinator lets a put leave behind.
    pub record_bytes_max: usize,
    /// Most versions of one key that a coordinator lets a put leave behind.
    pub siblings_max: usize,
    /// Largest frame that a transport carries; at least (N + 1) × `record_bytes_max`.
    pub frame_bytes_max: usize,
    /// Most keys in one `get_many` or `put_many`.
    pub batch_keys_max: usize,
    /// Client operations that one node coordinates at a time; more are refused as overloaded.
    pub operations_max: usize,
    /// Mutations that may wait for the writer of one store; more are refused as overloaded.
    pub mutations_max: usize,
    /// Most mutations that the writer commits as one batch.
    pub commit_batch_max: usize,
    /// Requests in flight to one peer over one transport; more are refused as overloaded.
    pub requests_in_flight_max: usize,
    /// Buckets in the bucket table.
    pub buckets_max: usize,
    /// Deadline of an operation that names none.
    pub deadline_ms_default: u64,
    /// Longest deadline that an operation may ask for; also how long a damaged record waits before it is healed, so that no put that it
    /// acknowledged is still under way.
    pub deadline_ms_max: u64,
    /// How long a read waits for an owner before it asks one more.
    pub hedge_delay_ms: u64,
    /// How long owners are waited for that are asked again to heal a damaged record, after the client has its answer.
    pub heal_timeout_ms: u64,
    /// How far a clock may be from those of its peers before the node refuses to coordinate writes.
    pub clock_drift_ms_max: u64,
    /// Bytes of copies that a node keeps for absent owners; a node that has as many refuses more.
    pub stand_in_bytes_max: u64,
    /// Bytes that the store keeps free for what the node itself has to store: with less, it takes nothing that clients write, until twice as
    /// much is free again. 0 switches that off.
    pub free_bytes_min: u64,
    /// How often a node looks whether an owner is back for which it keeps copies, and how long it waits after one that could not be delivered.
    pub delivery_period_ms: u64,
    /// How often a node compares what it holds with each other owner; 0 for never, except when it is told to.
    pub repair_period_ms: u64,
    /// How often the failure detector probes a member.
    pub probe_period_ms: u64,
    /// How long a probe is waited for before others are asked to probe too.
    pub probe_timeout_ms: u64,
    /// How long a member that answers nobody is suspected before it is taken for down.
    pub suspicion_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max: 1 << 20,
            record_bytes_max: 4 << 20,
            siblings_max: 64,
            frame_bytes_max: 20 << 20,
            batch_keys_max: 1_000,
            operations_max: 16_384,
            mutations_max: 16_384,
            commit_batch_max: 1_024,
            requests_in_flight_max: 8_192,
            buckets_max: 1_024,
            deadline_ms_default: 2_000,
            deadline_ms_max: 10_000,
            hedge_delay_ms: 20,
            heal_timeout_ms: 500,
            clock_drift_ms_max: 60_000,
            stand_in_bytes_max: 4 << 30,
            free_bytes_min: 64 << 20,
            delivery_period_ms: 500,
            repair_period_ms: 60_000,
            probe_period_ms: 1_000,
            probe_timeout_ms: 300,
            suspicion_ms: 2_000,
        }
    }
}

impl Limits {
    /// Checks the bounds against each other for a replication factor of `replicas`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] names the bound and the range it has to be in.
    pub fn check(&self, replicas: usize) -> Result<(), Error> {
        let bad = |what: String| Err(Error::new(ErrorKind::InvalidConfiguration, what));
        if self.key_bytes_max == 0 || self.key_bytes_max > KEY_BYTES_MAX {
            return bad(format!("key_bytes_max must be 1 to {KEY_BYTES_MAX}, not {}", self.key_bytes_max));
        }
        if self.record_bytes_max < self.value_bytes_max.saturating_add(self.key_bytes_max + 1_024) {
            return bad(format!(
                "record_bytes_max ({}) must exceed value_bytes_max ({}) by the key and 1,024 bytes of metadata",
                self.record_bytes_max, self.value_bytes_max
            ));
        }
        let frame = self.record_bytes_max.saturating_mul(replicas + 1);
        if self.frame_bytes_max < frame {
            return bad(format!(
                "frame_bytes_max ({}) must be at least (N + 1) x record_bytes_max = {frame}",
                self.frame_bytes_max
            ));
        }
        if self.frame_bytes_max > u32::MAX as usize / 2 {
            return bad(format!("frame_bytes_max must be below 2 GiB, not {}", self.frame_bytes_max));
        }
        let batches = [("batch_keys_max", self.batch_keys_max), ("commit_batch_max", self.commit_batch_max)];
        if let Some((name, value)) = batches.iter().find(|(_, value)| *value > LIST_ITEMS_MAX) {
            return bad(format!("{name} must be at most {LIST_ITEMS_MAX}, not {value}"));
        }
        let positive = [
            ("siblings_max", self.siblings_max),
            ("batch_keys_max", self.batch_keys_max),
            ("operations_max", self.operations_max),
            ("mutations_max", self.mutations_max),
            ("commit_batch_max", self.commit_batch_max),
            ("requests_in_flight_max", self.requests_in_flight_max),
            ("buckets_max", self.buckets_max),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return bad(format!("{name} must be at least 1"));
        }
        if self.deadline_ms_default == 0 || self.deadline_ms_default > self.deadline_ms_max {
            return bad("deadline_ms_default must be 1 to deadline_ms_max".into());
        }
        if self.probe_timeout_ms == 0 || self.probe_timeout_ms >= self.probe_period_ms {
            return bad("probe_timeout_ms must be at least 1 and below probe_period_ms".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_contradict_each_other_are_refused() {
        let good = Limits::default();
        assert!(good.check(3).is_ok());
        let bad = [
            Limits { key_bytes_max: 0, ..good.clone() },
            Limits { key_bytes_max: KEY_BYTES_MAX + 1, ..good.clone() },
            Limits { value_bytes_max: good.record_bytes_max, ..good.clone() },
            Limits { value_bytes_max: usize::MAX, ..good.clone() },
            Limits { record_bytes_max: usize::MAX, ..good.clone() },
            Limits { frame_bytes_max: 4 * good.record_bytes_max - 1, ..good.clone() },
            Limits { frame_bytes_max: usize::MAX, ..good.clone() },
            Limits { batch_keys_max: LIST_ITEMS_MAX + 1, ..good.clone() },
            Limits { commit_batch_max: LIST_ITEMS_MAX + 1, ..good.clone() },
            Limits { siblings_max: 0, ..good.clone() },
            Limits { deadline_ms_default: 0, ..good.clone() },
            Limits { probe_timeout_ms: good.probe_period_ms, ..good.clone() },
            Limits { deadline_ms_default: good.deadline_ms_max + 1, ..good.clone() },
        ];
        for limits in bad {
            let error = limits.check(3).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{limits:?}");
        }
    }
}
