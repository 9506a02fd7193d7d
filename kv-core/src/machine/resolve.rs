use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::causality::ContextToken;
use crate::command::{Decision, Sibling};
use crate::error::{Error, ErrorKind};
use crate::ids::OpId;
use crate::key::Key;
use crate::mutants::{self, Mutant};
use crate::record::{EncodedRecord, Expiry, Record, Version};
use crate::view::Bucket;

/// Asks for the records that replicas answered with to be merged, outside every lock, because the bucket's resolver is
/// somebody else's code.
#[derive(Debug)]
pub struct ResolveRequest {
    /// The operation.
    pub op: OpId,
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The key.
    pub key: Key,
    /// The distinct records.
    pub records: SmallVec<[EncodedRecord; 2]>,
    /// The secret for the context.
    pub secret: [u8; 16],
    /// The coordinator's wall clock, by which it is judged what has expired.
    pub wall_ms: u64,
}

/// What records came to.
#[derive(Debug)]
pub struct Resolution {
    /// The merged record.
    pub record: Record,
    /// The merged record as it is stored and sent.
    pub encoded: EncodedRecord,
    /// The values that a get shows.
    pub values: Vec<Sibling>,
    /// The context of a reader, sealed.
    pub context: ContextToken,
    /// Why these values.
    pub decision: Decision,
}

/// Merges records with the bucket's resolver and makes what a get shows of them. A pure function.
///
/// # Errors
///
/// [`ErrorKind::Damaged`] if a record that passed its checksum does not decode.
pub fn resolve(request: &ResolveRequest) -> Result<Resolution, Error> {
    let ResolveRequest { bucket, key, records, secret, wall_ms, .. } = request;
    let resolver = &*bucket.resolver;
    let decode = |encoded: &EncodedRecord| {
        let decoded = encoded.decode().map_err(|error| Error::new(ErrorKind::Damaged, error.to_string()));
        if mutants::on(Mutant::OlderValueAfterExpiry) {
            let lives = |version: &Version| version.is_tombstone() || version.is_live(*wall_ms);
            return decoded.map(|record| record.into_versions().filter(lives).collect());
        }
        decoded
    };
    let (record, encoded, distinct) = match records.as_slice() {
        [only] => (decode(only)?, only.clone(), 1),
        several => {
            let mut record = Record::new();
            for encoded in several {
                record.merge(decode(encoded)?, resolver);
            }
            let encoded = EncodedRecord::encode(&record, bucket.id, key);
            (record, encoded, several.len())
        }
    };
    let (values, decision) = values(bucket, record.clone(), distinct, *wall_ms);
    let context = record.context().seal(secret, bucket.id, key);
    Ok(Resolution { record, encoded, values, context, decision })
}

/// The values that a get shows of `record`, which is merged, at `wall_ms` on the coordinator's clock, and why.
pub(super) fn values(
    bucket: &Bucket,
    record: Record,
    distinct: usize,
    wall_ms: u64,
) -> (Vec<Sibling>, Decision) {
    let is_empty = record.is_empty();
    let shown = record.into_shown(wall_ms).filter_map(|version| {
        let expires_at_ms = version.expires_at_ms();
        Some(Sibling { value: version.value?, dot: version.dot, stamp: version.stamp, expires_at_ms })
    });
    let mut siblings: Vec<Sibling> = shown.collect();
    match siblings.as_slice() {
        [] if is_empty => return (siblings, Decision::NotFound),
        [] => return (siblings, Decision::Deleted),
        [_] if distinct > 1 && bucket.resolver.replaces_by_stamp() => {
            return (siblings, Decision::Kept(bucket.resolver.name()));
        }
        [_] => return (siblings, Decision::OnlyVersion),
        _ => {}
    }
    if let Some(value) = combine(bucket, &siblings) {
        let highest = siblings.iter().map(|sibling| (sibling.stamp, sibling.dot)).max();
        // Something of it is there for as long as its last part.
        let last = siblings.iter().map(|sibling| sibling.expires_at_ms.unwrap_or(Expiry::NEVER_MS)).max();
        let expires_at_ms = last.filter(|at_ms| *at_ms != Expiry::NEVER_MS);
        siblings.truncate(1);
        if let (Some(sibling), Some((stamp, dot))) = (siblings.first_mut(), highest) {
            *sibling = Sibling { value, dot, stamp, expires_at_ms };
        }
        return (siblings, Decision::Combined(bucket.resolver.name()));
    }
    (siblings, Decision::Siblings)
}

fn combine(bucket: &Bucket, siblings: &[Sibling]) -> Option<Bytes> {
    let values: SmallVec<[&[u8]; 4]> = siblings.iter().map(|sibling| &sibling.value[..]).collect();
    bucket.resolver.combine(&values)
}
