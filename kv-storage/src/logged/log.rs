use std::hash::{BuildHasher, RandomState};
use std::io;

use kv_core::storage::Batch;

use super::record::{self, Found, Link};
use super::segment::{self, Header, Segment};

/// The files of a log. One thread writes to it.
#[derive(Debug)]
pub(super) struct Log {
    id: u128,
    pub(super) writing: Option<Writing>,
    scratch: Vec<u8>,
    pub(super) syncs: u64,
    /// Bytes for which the storage below is known to have room, beside what it has yet to take.
    pub(super) room: u64,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) segment: Segment,
    pub(super) header: Header,
    pub(super) end: usize,
    /// The sum of the last record; the salt if there is none.
    pub(super) sum: u64,
    /// How much of it is durable.
    pub(super) synced: usize,
}

/// Why a record was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it will ever be found.
    NotWritten(io::Error),
    /// It may be found, or something before it may be lost.
    Unknown(io::Error),
}

impl Log {
    pub(super) fn new(id: u128) -> Self {
        Log { id, writing: None, scratch: Vec::new(), syncs: 0, room: 0 }
    }

    /// Whether a record of so many bytes fits into the segment that is written to.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.end + bytes <= writing.segment.capacity)
    }

    /// Bytes of the file that is written to.
    pub(super) fn bytes(&self) -> u64 {
        self.writing.as_ref().map_or(0, |writing| writing.segment.capacity as u64)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        if writing.synced < writing.end {
            writing.segment.sync()?;
            writing.synced = writing.end;
            self.syncs += 1;
        }
        Ok(())
    }

    /// Begins a segment, durably, and returns the one before it. What is in that has to be durable.
    pub(super) fn begin(
        &mut self,
        segment: Segment,
        number: u64,
        end_before: u64,
    ) -> io::Result<Option<Segment>> {
        let salt = RandomState::new().hash_one(number);
        let header = Header { log: self.id, number, salt, end_before };
        segment.write(0, &header.encode())?;
        segment.sync()?;
        self.syncs += 1;
        let next = Writing { segment, header, end: segment::HEADER, sum: salt, synced: segment::HEADER };
        Ok(self.writing.replace(next).map(|before| before.segment))
    }

    /// Appends a batch, for which there has to be room, and calls `take` with its record once it is as durable as asked.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        is_synced: bool,
        take: impl FnOnce(&[u8], &Found),
    ) -> Result<(), AppendError> {
        let Log { writing: Some(writing), scratch, .. } = self else {
            return Err(AppendError::NotWritten(io::ErrorKind::NotFound.into()));
        };
        scratch.clear();
        let link = Link { before: writing.sum, synced: writing.synced as u64 };
        let sum = record::append(batch, link, writing.header.salt, scratch);
        let Some(found) = record::found(scratch) else {
            return Err(AppendError::NotWritten(io::ErrorKind::InvalidInput.into()));
        };
        if let Err(error) = writing.segment.write(writing.end, scratch) {
            // What is there of it is no whole record, and the next one is written over it.
            return Err(match error.raw_os_error() {
                Some(libc::ENOSPC | libc::EDQUOT) => AppendError::NotWritten(error),
                _ => AppendError::Unknown(error),
            });
        }
        if is_synced {
            writing.segment.sync().map_err(AppendError::Unknown)?;
        }
        (writing.end, writing.sum) = (writing.end + scratch.len(), sum);
        if is_synced {
            writing.synced = writing.end;
            self.syncs += 1;
        }
        take(&self.scratch, &found);
        Ok(())
    }
}
