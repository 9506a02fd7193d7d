use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Incarnation;

/// Who mints dots: one birth of a key in one life of a store.
///
/// The birth is drawn from a counter of the incarnation whenever a node mints for a key of which it has no record of its own, so that
/// a key that was lost, damaged, moved away or reaped goes on under an actor that nobody has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Actor {
    /// The life of the store.
    pub incarnation: Incarnation,
    /// The birth of the key in that life, from 1.
    pub birth: u64,
}

/// The name of one write: the actor and its counter, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dot {
    /// Who minted the write.
    pub actor: Actor,
    /// The actor's counter for the key.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}:{}", self.actor.incarnation, self.actor.birth, self.counter)
    }
}
