//! What a run of a conformance suite found.

use std::fmt;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The bullet holds as far as the case can tell.
    Passed,
    /// It does not, for this reason.
    Failed(String),
    /// The case does not concern this implementation, for this reason.
    NotApplicable(String),
}

/// One case and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The id of the bullet, like `T-01`.
    pub id: String,
    /// What the bullet asks, in a few words.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// The cases of one run, in the order of their bullets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The trait that was tested.
    pub suite: String,
    /// Every case that ran.
    pub cases: Vec<Case>,
}

impl Report {
    /// The ids of the cases that failed.
    pub fn failed_ids(&self) -> Vec<&str> {
        let failed = self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_)));
        failed.map(|case| case.id.as_str()).collect()
    }

    /// Returns if every case passed or was not applicable.
    ///
    /// # Panics
    ///
    /// With the whole report if a case failed.
    pub fn assert_passed(&self) {
        assert!(self.failed_ids().is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conformance of {}:", self.suite)?;
        for Case { id, name, outcome } in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "  {id} passed: {name}")?,
                Outcome::Failed(why) => writeln!(f, "  {id} FAILED: {name}: {why}")?,
                Outcome::NotApplicable(why) => writeln!(f, "  {id} not applicable: {name}: {why}")?,
            }
        }
        Ok(())
    }
}
