//! A segment of the log: a file of fixed size that is written from its beginning, and written over once what is in it has reached the storage below.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::record::{put_at, u32_at, u64_at};

/// Bytes in front of the first record.
pub(super) const HEADER: usize = 64;

const MAGIC: u64 = u64::from_le_bytes(*b"KVLOGSEG");
const VERSION: u32 = 1;
/// Bytes that are written at a time when a segment is made.
const PIECE: usize = 1 << 20;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The log that it belongs to.
    pub(super) log: u128,
    /// Its number; the next one has the next.
    pub(super) number: u64,
    /// A random number: records of what the file was before are not of this segment.
    pub(super) salt: u64,
    /// Where the segment before this one ends; nothing if this is the first.
    pub(super) end_before: u64,
}

/// A file that is a segment, or will be.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) capacity: usize,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        put_at(&mut bytes, 0, &MAGIC.to_le_bytes());
        put_at(&mut bytes, 8, &VERSION.to_le_bytes());
        put_at(&mut bytes, 16, &self.log.to_le_bytes());
        put_at(&mut bytes, 32, &self.number.to_le_bytes());
        put_at(&mut bytes, 40, &self.salt.to_le_bytes());
        put_at(&mut bytes, 48, &self.end_before.to_le_bytes());
        let sum = xxh3_64(bytes.get(..HEADER - 8).unwrap_or_default());
        put_at(&mut bytes, HEADER - 8, &sum.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`; none if there is none, or one that was not written to its end.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let is_whole = u64_at(bytes, HEADER - 8)? == xxh3_64(bytes.get(..HEADER - 8)?);
        if !is_whole || u64_at(bytes, 0)? != MAGIC || u32_at(bytes, 8)? != VERSION {
            return None;
        }
        Some(Header {
            log: u128::from_le_bytes(bytes.get(16..32)?.try_into().ok()?),
            number: u64_at(bytes, 32)?,
            salt: u64_at(bytes, 40)?,
            end_before: u64_at(bytes, 48)?,
        })
    }
}

impl Segment {
    /// Makes a file full of zeros, so that writing to it needs neither room nor a change of the file system's own records.
    pub(super) fn make(path: PathBuf, capacity: usize) -> io::Result<Self> {
        let made = Segment::fill(&path, capacity);
        if made.is_err() {
            // What is there of it takes room that somebody may need.
            std::fs::remove_file(&path).ok();
        }
        Ok(Segment { file: made?, path, capacity })
    }

    fn fill(path: &Path, capacity: usize) -> io::Result<File> {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path)?;
        let zeros = vec![0; PIECE.min(capacity)];
        let mut at = 0;
        while at < capacity {
            let piece = zeros.get(..zeros.len().min(capacity - at)).unwrap_or_default();
            file.write_all_at(piece, at as u64)?;
            at += piece.len();
        }
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(file)
    }

    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(&path)?;
        let capacity = file.metadata()?.len() as usize;
        Ok(Segment { file, path, capacity })
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.capacity];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at as u64)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
