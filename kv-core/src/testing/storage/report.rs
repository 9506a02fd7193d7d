use std::fmt;

/// How one case of the suite ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The engine keeps the bullet.
    Passed,
    /// It does not, and this is how it showed.
    Failed(String),
    /// The bullet does not apply to the engine, or the factory cannot show it, for this reason.
    NotApplicable(&'static str),
}

/// One case: the bullet of the contract that it checks, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The bullet, such as `S-03`.
    pub id: &'static str,
    /// What happened.
    pub outcome: Outcome,
}

/// What the suite found, one entry for each bullet in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    cases: Vec<CaseReport>,
}

impl Report {
    pub(super) fn new(cases: Vec<CaseReport>) -> Self {
        Report { cases }
    }

    /// Every case.
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// The bullets that the engine breaks.
    pub fn failed(&self) -> Vec<&'static str> {
        self.ids(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The bullets that were not checked.
    pub fn not_applicable(&self) -> Vec<&'static str> {
        self.ids(|outcome| matches!(outcome, Outcome::NotApplicable(_)))
    }

    /// Returns if no case failed.
    ///
    /// # Panics
    ///
    /// If one did, with the whole report.
    pub fn assert(&self) {
        assert!(self.failed().is_empty(), "the engine breaks the contract of Storage:\n{self}");
    }

    fn ids(&self, is_wanted: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.cases.iter().filter(|case| is_wanted(&case.outcome)).map(|case| case.id).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for CaseReport { id, outcome } in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "{id} passed")?,
                Outcome::Failed(reason) => writeln!(f, "{id} FAILED: {reason}")?,
                Outcome::NotApplicable(reason) => writeln!(f, "{id} not applicable: {reason}")?,
            }
        }
        Ok(())
    }
}
