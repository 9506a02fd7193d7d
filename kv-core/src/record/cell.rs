use smallvec::SmallVec;
use thiserror::Error;

use crate::causality::{Actor, Dot};
use crate::codec::{DecodeError, Reader, put_varint};
use crate::ids::{BucketId, Epoch, NodeId};
use crate::key::Key;
use crate::mutants::{self, Mutant};
use crate::record::encoding::{decode_checked, decode_dot, dots_checked, encode_dot, keyed_digest};
use crate::record::{EncodedRecord, PastNames, Record, RecordError, Sinces};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 9;

const HAS_OWN: u8 = 1;
const IS_RECOVERING: u8 = 2;
const HAS_SINCES: u8 = 4;
const HAS_NAMES: u8 = 8;

/// What a store keeps under a key: the record, and beside it what is this store's alone and never replicated.
///
/// One format byte; eight bytes of XXH3 over storage key, local part and the record's own checksum; the local part with its length;
/// the encoded record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The actor with which this node may go on minting for the key.
    pub own: Option<OwnActor>,
    /// Set while the record is incomplete because an earlier one was damaged.
    pub recovering: Option<RecoveringMark>,
    /// Since when versions are held here.
    pub sinces: Sinces,
    /// Since when the names in crowded pasts are held here.
    pub names: PastNames,
    /// The record.
    pub record: EncodedRecord,
}

/// The actor that this node last minted with for a key, and its last counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnActor {
    /// The actor.
    pub actor: Actor,
    /// The last counter that was given out.
    pub counter: u64,
}

/// Which replicas a record that replaced a damaged one was merged with so far. Until they are enough it does not vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveringMark {
    damage: u64,
    // Ascending by node; `true` for a replica that was itself not recovering.
    merged: SmallVec<[(NodeId, bool); 4]>,
}

/// What lies under the key is not a cell of that key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CellError {
    /// The cell's format is newer than this build, or rubbish.
    #[error("cell format {0} is unknown to this build, which knows format {FORMAT}")]
    Format(u8),
    /// The cell's checksum fails.
    #[error("the cell fails its checksum")]
    Checksum,
    /// The local part does not decode.
    #[error("the cell is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The record in it is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The number by which a damage is known: a digest of the damaged bytes. Any write replaces the bytes, so while the number is the same,
/// nothing was acknowledged in between.
pub fn damage_number(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

impl RecoveringMark {
    /// The mark of a record that begins anew where another was damaged.
    pub fn new(damage: u64) -> Self {
        RecoveringMark { damage, merged: SmallVec::new() }
    }

    /// The damage.
    pub fn damage(&self) -> u64 {
        self.damage
    }

    /// Whom the record was merged with, and whether each was not recovering itself.
    pub fn merged(&self) -> &[(NodeId, bool)] {
        &self.merged
    }

    /// Notes that the record was merged with what `node` holds; `complete` if that node's own record was not recovering.
    pub fn merged_with(&mut self, node: NodeId, complete: bool) {
        match self.merged.binary_search_by_key(&node, |(node, _)| *node) {
            Ok(place) => {
                if let Some((_, known)) = self.merged.get_mut(place) {
                    *known |= complete;
                }
            }
            Err(place) => self.merged.insert(place, (node, complete)),
        }
    }

    /// Whether the record is complete again: merged with every other of `owners`, or with `owners` - `write_quorum_min` + 1 of
    /// them that were not recovering themselves. Any write that was acknowledged is held by one of those.
    pub fn is_over(&self, this: NodeId, owners: &[NodeId], write_quorum_min: usize) -> bool {
        let others = || owners.iter().filter(|owner| **owner != this);
        let state = |owner: &NodeId| {
            let place = self.merged.binary_search_by_key(owner, |(node, _)| *node).ok()?;
            self.merged.get(place).map(|(_, complete)| *complete)
        };
        let all = others().all(|owner| state(owner).is_some());
        let complete = others().filter(|owner| state(owner) == Some(true)).count();
        all || complete > owners.len().saturating_sub(write_quorum_min)
    }
}

impl Cell {
    /// The pieces that make up the stored bytes, for [`crate::storage::Batch::put`]: header with local part, and record.
    pub fn encode(&self, storage_key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 40 + self.record.len());
        self.encode_into(storage_key, &mut out);
        out
    }

    /// Appends the stored bytes to `out`, which must be empty.
    pub fn encode_into(&self, storage_key: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; HEADER_BYTES]);
        let mut local: SmallVec<[u8; 64]> = SmallVec::new();
        self.encode_local(&mut local);
        put_varint(out, local.len() as u64);
        out.extend_from_slice(&local);
        let digest = checksum(storage_key, out.get(HEADER_BYTES..).unwrap_or_default(), self.record.digest());
        if let Some((format, rest)) = out.split_first_mut() {
            *format = FORMAT;
            for (to, from) in rest.iter_mut().zip(digest.to_le_bytes()) {
                *to = from;
            }
        }
        out.extend_from_slice(self.record.as_bytes());
    }

    fn encode_local(&self, out: &mut SmallVec<[u8; 64]>) {
        let flags = if self.own.is_some() { HAS_OWN } else { 0 }
            | if self.recovering.is_some() { IS_RECOVERING } else { 0 }
            | if self.sinces.entries().is_empty() { 0 } else { HAS_SINCES }
            | if self.names.is_empty() { 0 } else { HAS_NAMES };
        let mut bytes = Vec::with_capacity(24);
        if let Some(own) = self.own {
            encode_dot(&mut bytes, Dot { actor: own.actor, counter: own.counter });
        }
        if let Some(mark) = &self.recovering {
            bytes.extend_from_slice(&mark.damage.to_le_bytes());
            put_varint(&mut bytes, mark.merged.len() as u64);
            for (node, complete) in &mark.merged {
                put_varint(&mut bytes, node.0);
                bytes.push(u8::from(*complete));
            }
        }
        if !self.sinces.entries().is_empty() {
            put_varint(&mut bytes, self.sinces.entries().len() as u64);
            for since in self.sinces.entries() {
                put_varint(&mut bytes, since.0);
            }
        }
        if !self.names.is_empty() {
            self.names.encode(&mut bytes);
        }
        out.push(flags);
        out.extend_from_slice(&bytes);
    }
}

/// A [`Cell`] that was checked and lies in somebody else's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellView<'a> {
    /// The actor with which this node may go on minting for the key.
    pub own: Option<OwnActor>,
    /// Set while the record is incomplete because an earlier one was damaged.
    pub recovering: Option<RecoveringMark>,
    /// Since when versions are held here.
    pub sinces: Sinces,
    /// Since when the names in crowded pasts are held here.
    pub names: PastNames,
    /// The record's digest.
    pub digest: u64,
    record: &'a [u8],
}

impl<'a> CellView<'a> {
    /// Checks what was stored under `storage_key` for `key`.
    ///
    /// # Errors
    ///
    /// [`CellError`] if anything of it is damaged.
    pub fn decode(
        bytes: &'a [u8],
        storage_key: &[u8],
        bucket: BucketId,
        key: &Key,
    ) -> Result<Self, CellError> {
        let mut reader = Reader::new(bytes);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(CellError::Format(format));
        }
        let stored = reader.u64()?;
        let length = reader.length()?;
        let local = reader.slice(length)?;
        let front = bytes.get(HEADER_BYTES..reader.position()).unwrap_or_default();
        let record = bytes.get(reader.position()..).unwrap_or_default();
        let digest = EncodedRecord::check_slice(record, bucket, key)?;
        if stored != checksum(storage_key, front, digest) && !mutants::on(Mutant::ChecksumIsIgnored) {
            return Err(CellError::Checksum);
        }
        let Local { own, recovering, sinces, names } = decode_local(local)?;
        Ok(CellView { own, recovering, sinces, names, digest, record })
    }

    /// A copy of the record.
    pub fn record(&self) -> EncodedRecord {
        EncodedRecord::copy_of(self.record)
    }

    /// The record, decoded; values are copied.
    ///
    /// # Errors
    ///
    /// [`CellError::Record`] if the content is not canonical although the checksum fits.
    pub fn decode_record(&self) -> Result<Record, CellError> {
        Ok(decode_checked(self.record, None)?)
    }

    /// The names of the versions, ascending.
    ///
    /// # Errors
    ///
    /// As [`CellView::decode_record`].
    pub fn dots(&self) -> Result<SmallVec<[Dot; 2]>, CellError> {
        Ok(dots_checked(self.record)?)
    }

    /// A copy of the cell.
    pub fn to_cell(&self) -> Cell {
        let (sinces, names) = (self.sinces.clone(), self.names.clone());
        Cell { own: self.own, recovering: self.recovering.clone(), sinces, names, record: self.record() }
    }
}

/// What stands beside a record.
struct Local {
    own: Option<OwnActor>,
    recovering: Option<RecoveringMark>,
    sinces: Sinces,
    names: PastNames,
}

fn decode_local(local: &[u8]) -> Result<Local, CellError> {
    let mut reader = Reader::new(local);
    let flags = reader.byte()?;
    if flags & !(HAS_OWN | IS_RECOVERING | HAS_SINCES | HAS_NAMES) != 0 {
        return Err(reader.error("unknown flags").into());
    }
    let own = if flags & HAS_OWN != 0 {
        let Dot { actor, counter } = decode_dot(&mut reader)?;
        Some(OwnActor { actor, counter })
    } else {
        None
    };
    let recovering = if flags & IS_RECOVERING != 0 {
        let mut mark = RecoveringMark::new(reader.u64()?);
        for _ in 0..reader.count(2)? {
            let node = NodeId(reader.varint()?);
            mark.merged_with(node, reader.byte()? == 1);
        }
        Some(mark)
    } else {
        None
    };
    let mut sinces = Vec::new();
    if flags & HAS_SINCES != 0 {
        for _ in 0..reader.count(1)? {
            sinces.push(Epoch(reader.varint()?));
        }
    }
    let sinces = Sinces::from_entries(sinces);
    let names = if flags & HAS_NAMES != 0 { PastNames::decode(&mut reader)? } else { PastNames::default() };
    if reader.is_empty() {
        Ok(Local { own, recovering, sinces, names })
    } else {
        Err(reader.error("bytes left over").into())
    }
}

fn checksum(storage_key: &[u8], front: &[u8], record_digest: u64) -> u64 {
    keyed_digest(storage_key, front) ^ record_digest.rotate_left(1)
}

#[cfg(test)]
mod tests;
