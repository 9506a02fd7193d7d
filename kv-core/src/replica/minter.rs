use std::sync::Arc;

use crate::causality::{Actor, Clock, Dot, Stamp};
use crate::ids::Incarnation;
use crate::mutants::{self, Mutant};
use crate::record::{OwnActor, Record};
use crate::time::Now;

/// What dots and stamps of one store are made from. Owned by the store's writer.
#[derive(Debug)]
pub struct Minter {
    incarnation: Option<Incarnation>,
    births: u64,
    clock: Arc<Clock>,
}

impl Minter {
    /// A minter for a life of the store that is stored already.
    pub fn new(incarnation: Incarnation, clock: Arc<Clock>) -> Self {
        Minter { incarnation: Some(incarnation), births: 0, clock }
    }

    /// The life of the store, or none after a failed commit until a new one is stored.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// Takes note that a commit failed: no dot of the present life is given out any more.
    pub fn commit_failed(&mut self) {
        if !mutants::on(Mutant::KeepsActorAfterFailedCommit) {
            self.incarnation = None;
        }
    }

    /// Goes on in a new life, which is stored.
    pub fn renew(&mut self, incarnation: Incarnation) {
        self.incarnation = Some(incarnation);
        self.births = 0;
    }

    /// The clock that stamps.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// The next dot for a key that holds `record`, of which `own` was the last actor of this store; none while there is no life to mint in.
    ///
    /// The old actor goes on only in the life that made it, and only if no version knows a higher counter of it; otherwise a birth
    /// is drawn that no version of the record knows.
    pub fn dot(&mut self, own: Option<OwnActor>, record: &Record) -> Option<Dot> {
        let incarnation = self.incarnation?;
        let careless = mutants::on(Mutant::ContinuesCounterOfRepairedRecord);
        let own = own.or_else(|| if careless { found(record, incarnation) } else { None });
        if let Some(OwnActor { actor, counter }) = own
            && actor.incarnation == incarnation
            && record.highest(actor) <= counter
            && !mutants::on(Mutant::BirthForEveryMint)
        {
            return Some(Dot { actor, counter: counter + 1 });
        }
        loop {
            self.births += 1;
            let actor = Actor { incarnation, birth: self.births };
            if record.highest(actor) == 0 {
                return Some(Dot { actor, counter: 1 });
            }
        }
    }

    /// A stamp above `floor`: the stamps of the put's context and of the record that it joins. The clock itself is not dragged along by a floor
    /// that lies far ahead.
    pub fn stamp(&self, now: Now, floor: Stamp) -> Stamp {
        if mutants::on(Mutant::StampsBelowContext) {
            return self.clock.tick(now.wall_ms);
        }
        self.clock.tick(now.wall_ms).max(floor.next())
    }
}

/// What a careless node would go on with: the last dot of its own that somebody gave back to it.
fn found(record: &Record, incarnation: Incarnation) -> Option<OwnActor> {
    let dots = record.versions().iter().map(|version| version.dot);
    let last = dots.filter(|dot| dot.actor.incarnation == incarnation).max()?;
    Some(OwnActor { actor: last.actor, counter: last.counter })
}
