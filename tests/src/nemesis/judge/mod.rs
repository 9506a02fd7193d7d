//! Judges what clients asked and were told, and nothing else. The rules are the rows of docs/promises.md; those of the simulator's checkers
//! (`kv_core::testing::simulation`), told anew for histories of real processes.

mod key;
mod names;
mod overwrites;
mod pasts;
mod reads;

use std::fmt;

use crate::nemesis::history::Event;
use crate::nemesis::judge::pasts::Pasts;

/// A promise that a history can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A-1, LW-2: what was acknowledged is there in the end, or what replaced it.
    NoWriteLost,
    /// A-2, LW-2: a get that owners alone have answered shows what was acknowledged before, or what replaced it.
    ReadsAreRegular,
    /// it shows nothing that such a write, or a delete, had replaced.
    NothingComesBack,
    /// an overwrite that owners alone have answered replaces what was acknowledged before.
    OverwritesAreRegular,
    /// nothing is shown that nobody put there.
    NoStrangeValue,
    /// E-2: nothing is shown that was not applied.
    NotAppliedStaysAway,
    /// A-7, LW-1: values that are shown together are concurrent, and one where stamps decide.
    SiblingsAreConcurrent,
    /// a write has one dot, a dot names one write.
    DotsAreUnique,
    /// E-1: an acknowledged write was committed by W nodes.
    EnoughAcknowledge,
    /// C-1: when the faults are over, every key can be read.
    ReadableInTheEnd,
}

/// What a history has against a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: Rule,
    /// What was seen.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.message)
    }
}

/// Everything in a history that goes against a promise.
pub fn judge(history: &[Event]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for key in key::by_key(history) {
        let mut found = Vec::new();
        names::check(&key, &mut found);
        // What follows reasons about causality, which strange values and doubled names would only confuse.
        if found.is_empty() {
            let pasts = Pasts::new(&key);
            names::check_siblings(&key, &pasts, &mut found);
            reads::check(&key, &pasts, &mut found);
            overwrites::check(&key, &pasts, &mut found);
        }
        violations.extend(found.into_iter().map(|(rule, what)| Violation {
            rule,
            message: format!("{} {}: {what}", key.bucket.name, key.name),
        }));
    }
    violations
}

/// What one check has found.
type Found = Vec<(Rule, String)>;

#[cfg(test)]
mod tests;
