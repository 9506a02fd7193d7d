use std::io;
use std::path::PathBuf;

use super::segment::Segment;

/// What the names of segments begin with; a number follows.
pub(super) const PREFIX: &str = "segment-";

/// Most segments that are kept to be written over.
const MOST: usize = 2;

/// Segments that are there to be written over.
#[derive(Debug)]
pub(super) struct Spares {
    directory: PathBuf,
    segment_bytes: usize,
    segments: Vec<Segment>,
    /// The number in the name of the next file.
    next: u64,
}

impl Spares {
    /// None yet, in a directory in which files are named up to that number.
    pub(super) fn new(directory: PathBuf, segment_bytes: usize, named_to: u64) -> Self {
        Spares { directory, segment_bytes, segments: Vec::new(), next: named_to + 1 }
    }

    /// Takes a segment of which nothing is needed any more.
    pub(super) fn add(&mut self, segment: Segment) {
        if segment.capacity == self.segment_bytes && self.segments.len() < MOST {
            self.segments.push(segment);
        } else {
            // It is recognised as of no use when the log is opened, if it cannot be removed now.
            std::fs::remove_file(&segment.path).ok();
        }
    }

    /// One in which so many bytes have room, if there is one.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Segment> {
        let place = self.segments.iter().position(|spare| spare.capacity >= bytes)?;
        Some(self.segments.swap_remove(place))
    }

    /// Where another one in which so many bytes have room can be made, and how large.
    pub(super) fn next(&mut self, bytes: usize) -> (PathBuf, usize) {
        let path = self.directory.join(format!("{PREFIX}{}", self.next));
        self.next += 1;
        (path, self.segment_bytes.max(bytes.next_multiple_of(4_096)))
    }

    /// Makes one in which so many bytes have room.
    pub(super) fn make(&mut self, bytes: usize) -> io::Result<Segment> {
        let (path, capacity) = self.next(bytes);
        Segment::make(path, capacity)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of the files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.capacity as u64).sum()
    }
}
