//! A member outside of the preference list that keeps copies for absent owners.

use crate::epochs::record::Record;
use crate::epochs::rule::{Epoch, Rule};
use crate::epochs::variant::Variant;

/// What was read in one epoch for one owner, as one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Copy {
    pub owner: usize,
    pub epoch: Epoch,
    pub record: Record,
}

/// The stand-in: a copy for each owner and epoch, in the order in which they were begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StandIn {
    pub copies: Vec<Copy>,
    /// The latest epoch for which it was asked; none after a loss, until somebody asks.
    pub asked: Option<Epoch>,
}

impl Default for StandIn {
    fn default() -> Self {
        StandIn { copies: Vec::new(), asked: Some(0) }
    }
}

impl StandIn {
    /// Keeps a frame that was read in epoch `read` for `owner`.
    pub fn keep(&mut self, owner: usize, record: &Record, read: Epoch, rule: Rule) {
        let together = rule.is(Variant::CopyTakesLowest) || rule.is(Variant::CopyTakesHighest);
        let mut copies = self.copies.iter_mut();
        match copies.find(|copy| copy.owner == owner && (together || copy.epoch == read)) {
            Some(copy) => {
                copy.record = copy.record.merged(record);
                let highest = rule.is(Variant::CopyTakesHighest);
                copy.epoch = if highest { copy.epoch.max(read) } else { copy.epoch.min(read) };
            }
            None => self.copies.push(Copy { owner, epoch: read, record: *record }),
        }
    }

    /// Whether it takes what was read in an epoch.
    pub fn takes(&self, read: Epoch, rule: Rule) -> bool {
        !rule.is(Variant::StandInsPromise) || self.asked.is_some_and(|asked| read >= asked)
    }

    /// Whether no copy was made before `epoch`.
    pub fn is_clear(&self, epoch: Epoch) -> bool {
        self.copies.iter().all(|copy| copy.epoch >= epoch)
    }

    /// Releases what an owner has committed.
    pub fn release(&mut self, owner: usize, committed: &Record) {
        for copy in self.copies.iter_mut().filter(|copy| copy.owner == owner) {
            committed.versions().for_each(|(write, _)| copy.record.remove(write));
        }
        self.copies.retain(|copy| !copy.record.is_empty());
    }

    /// Drops copies that an owner in `epoch` refuses because they are too old.
    pub fn refused(&mut self, owner: usize, epoch: Epoch, rule: Rule) {
        self.copies
            .retain(|copy| copy.owner != owner || copy.epoch >= epoch || rule.takes(copy.epoch, epoch));
    }
}
