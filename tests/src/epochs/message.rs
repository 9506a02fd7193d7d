//! What is under way between nodes. It may arrive late, more than once, or never.

use crate::epochs::record::{Record, Writes};
use crate::epochs::rule::Epoch;

/// Whether an exchange is an offer or the answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body {
    /// Records for an owner: of a write that is counted, or a repair.
    Records { write: Option<usize> },
    /// Records that the stand-in shall keep for the owner.
    Copy { write: usize },
    /// A stand-in's copy for its owner.
    Delivery,
    /// What a replica holds, as the first half of an exchange.
    Offer { from: usize, incarnation: u8 },
    /// What the other holds, as the second half.
    Answer { from: usize, to_incarnation: u8, to_epoch: Option<Epoch>, is_clear: bool },
}

/// Records on their way to an owner, or to the stand-in in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    pub owner: usize,
    /// The epoch in which the records were read; of a copy, the lowest of the frames that it was made from.
    pub epoch: Option<Epoch>,
    pub record: Record,
    /// What the sender has seen.
    pub seen: Writes,
    pub body: Body,
}
