use serde::{Deserialize, Serialize};

use crate::bucket::Quorum;
use crate::error::{Error, ErrorKind};
use crate::limits::{EXPIRY_MS_MAX, Limits, REPLICAS_MAX};
use crate::storage::Durability;

/// Whose acknowledgements count towards a quorum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuorumMode {
    /// Those of the owners.
    Strict,
    /// Those of the owners and of the nodes that stand in for absent ones (Dynamo section 4.6).
    #[default]
    Sloppy,
}

/// What a bucket promises and allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BucketProperties {
    /// Replicas of each key (N); the effective number is at most that of the members.
    pub n: u8,
    /// Replicas that a get needs, unless it says otherwise (R).
    pub r: Quorum,
    /// Replicas that a put needs, unless it says otherwise (W).
    pub w: Quorum,
    /// Fewest acknowledgements that a put of this bucket may ask for: repair of damaged records relies on it.
    pub w_min: u8,
    /// Strict or sloppy quorums.
    pub quorum: QuorumMode,
    /// Name of the conflict resolver.
    pub resolver: String,
    /// When a write counts as stored.
    pub durability: Durability,
    /// Largest value, if smaller than the node's own bound.
    pub value_bytes_max: Option<u32>,
    /// Most versions of a key, if fewer than the node's own bound.
    pub siblings_max: Option<u32>,
    /// So many milliseconds after it was put a value expires, unless the put says otherwise.
    pub expiry_ms: Option<u64>,
}

impl Default for BucketProperties {
    fn default() -> Self {
        BucketProperties {
            n: 3,
            r: Quorum::Majority,
            w: Quorum::Majority,
            w_min: 1,
            quorum: QuorumMode::Sloppy,
            resolver: "siblings".into(),
            durability: Durability::Synced,
            value_bytes_max: None,
            siblings_max: None,
            expiry_ms: None,
        }
    }
}

impl BucketProperties {
    /// Checks the properties by themselves and against a node's bounds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBucket`] names the property and its range; [`ErrorKind::Unsupported`] for what this release does not offer.
    pub fn check(&self, limits: &Limits) -> Result<(), Error> {
        let bad = |what: String| Err(Error::new(ErrorKind::InvalidBucket, what));
        let n = usize::from(self.n);
        if n == 0 || n > REPLICAS_MAX {
            return bad(format!("n must be 1 to {REPLICAS_MAX}, not {n}"));
        }
        for (name, quorum) in [("r", self.r), ("w", self.w)] {
            if let Quorum::Count(count) = quorum
                && (count == 0 || count > self.n)
            {
                return bad(format!("{name} must be 1 to n = {n}, not {count}"));
            }
        }
        if self.w_min == 0 || usize::from(self.w_min) > self.w.needed(n) {
            let w = self.w.needed(n);
            return bad(format!("w_min must be 1 to what w needs ({w}), not {}", self.w_min));
        }
        if self.value_bytes_max.is_some_and(|most| most as usize > limits.value_bytes_max) {
            return bad(format!("value_bytes_max must be at most {}", limits.value_bytes_max));
        }
        if self.siblings_max.is_some_and(|most| most == 0 || most as usize > limits.siblings_max) {
            return bad(format!("siblings_max must be 1 to {}", limits.siblings_max));
        }
        if self.expiry_ms.is_some_and(|after_ms| after_ms == 0 || after_ms > EXPIRY_MS_MAX) {
            return bad(format!("expiry_ms must be 1 to {EXPIRY_MS_MAX}"));
        }
        limits
            .check(n)
            .map_err(|error| Error::new(ErrorKind::InvalidBucket, format!("n = {n}: {}", error.message())))
    }
}
