//! What can happen next.

use crate::epochs::history::Kind;

/// What a write replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replaces {
    Nothing,
    /// What its coordinator holds.
    Seen,
    /// What the client once read.
    Context,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client takes the context of what a replica holds.
    Read { at: usize },
    /// A replica coordinates a write; the stand-in gets the copy of `absent`.
    Write { at: usize, kind: Kind, replaces: Replaces, absent: Option<usize> },
    /// The time of an expiring value passes.
    Expire { write: usize },
    /// A replica sends what it holds outside of an exchange.
    Repair { from: usize, to: usize },
    /// The stand-in sends one of its copies.
    Deliver { copy: usize },
    /// A replica begins an exchange.
    Offer { from: usize, to: usize },
    /// An exchange without anything between its halves.
    Exchange { from: usize, to: usize },
    /// A message arrives, and perhaps will arrive again.
    Arrive { message: usize, again: bool },
    /// A message never arrives any more.
    Lose { message: usize },
    /// A replica asks the stand-in for copies made before its epoch.
    Ask { by: usize },
    /// A replica enters the next epoch.
    Turn { by: usize },
    /// A store is closed and opened.
    Restart { replica: usize },
    /// A store is lost.
    LoseDisk { replica: usize },
    /// A store is copied.
    BackUp { replica: usize },
    /// An old copy takes the place of a store.
    Restore { replica: usize },
    /// A store loses a record without noticing.
    LoseRecord { replica: usize },
    /// The stand-in loses its store.
    LoseStandIn,
}
