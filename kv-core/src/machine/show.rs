use std::sync::Arc;

use crate::causality::ContextToken;
use crate::command::Sibling;
use crate::error::{Error, ErrorKind};
use crate::ids::OpId;
use crate::key::Key;
use crate::machine::resolve::values;
use crate::record::EncodedRecord;
use crate::view::Bucket;

/// Asks for what a get would show of records on which replicas agree, outside every lock, because the bucket's resolver is somebody
/// else's code.
#[derive(Debug)]
pub struct ShowRequest {
    /// The operation.
    pub op: OpId,
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The keys and their records.
    pub records: Vec<(Key, EncodedRecord)>,
    /// The secret for contexts.
    pub secret: [u8; 16],
    /// The coordinator's wall clock, by which it is judged what has expired.
    pub wall_ms: u64,
}

/// The values that a get would show, and its context.
pub type Shown = (Vec<Sibling>, ContextToken);

/// Shows each record as a get would. A pure function.
///
/// # Errors
///
/// [`ErrorKind::Damaged`] if a record that passed its checksum does not decode.
pub fn show(request: &ShowRequest) -> Result<Vec<Shown>, Error> {
    let ShowRequest { bucket, records, secret, wall_ms, .. } = request;
    let shown = records.iter().map(|(key, encoded)| {
        let record = encoded.decode().map_err(|error| Error::new(ErrorKind::Damaged, error.to_string()))?;
        let context = record.context().seal(secret, bucket.id, key);
        Ok((values(bucket, record, 1, *wall_ms).0, context))
    });
    shown.collect()
}
