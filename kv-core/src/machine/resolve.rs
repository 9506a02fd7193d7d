use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::causality::ContextToken;
use crate::command::{Decision, Sibling};
use crate::error::{Error, ErrorKind};
use crate::ids::OpId;
use crate::key::Key;
use crate::record::{EncodedRecord, Record};
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
    let ResolveRequest { bucket, key, records, secret, .. } = request;
    let resolver = &*bucket.resolver;
    let decode = |encoded: &EncodedRecord| {
        encoded.decode().map_err(|error| Error::new(ErrorKind::Damaged, error.to_string()))
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
    let (values, decision) = values(bucket, record.clone(), distinct);
    let context = record.context().seal(secret, bucket.id, key);
    Ok(Resolution { record, encoded, values, context, decision })
}

/// The values that a get shows of `record`, and why.
pub(super) fn values(bucket: &Bucket, record: Record, distinct: usize) -> (Vec<Sibling>, Decision) {
    let is_empty = record.is_empty();
    let live = record.into_versions().filter_map(|version| {
        Some(Sibling { value: version.value?, dot: version.dot, stamp: version.stamp })
    });
    let mut siblings: Vec<Sibling> = live.collect();
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
        siblings.truncate(1);
        if let (Some(sibling), Some((stamp, dot))) = (siblings.first_mut(), highest) {
            *sibling = Sibling { value, dot, stamp };
        }
        return (siblings, Decision::Combined(bucket.resolver.name()));
    }
    (siblings, Decision::Siblings)
}

fn combine(bucket: &Bucket, siblings: &[Sibling]) -> Option<Bytes> {
    let values: SmallVec<[&[u8]; 4]> = siblings.iter().map(|sibling| &sibling.value[..]).collect();
    bucket.resolver.combine(&values)
}
