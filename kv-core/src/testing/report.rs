//! What a conformance suite found: one case per contract bullet.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The outcome of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseOutcome {
    /// The bullet holds, as far as the case can see.
    Passed,
    /// The bullet is broken; says how.
    Failed(String),
    /// The implementation does not claim what the bullet is about; says what.
    NotApplicable(String),
}

impl From<Result<(), String>> for CaseOutcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => CaseOutcome::Passed,
            Err(reason) => CaseOutcome::Failed(reason),
        }
    }
}

/// One case of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The contract bullet that it checks, for example `L-01`.
    pub id: &'static str,
    /// What it checks, in words.
    pub name: &'static str,
    /// What came of it.
    pub outcome: CaseOutcome,
}

/// What a suite found out about one implementation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The suite, and the implementation that it ran against.
    pub suite: String,
    /// The cases in the order of the bullets.
    pub cases: Vec<Case>,
}

impl Report {
    /// A report without cases.
    pub fn new(suite: impl Into<String>) -> Self {
        Report { suite: suite.into(), cases: Vec::new() }
    }

    /// Runs a case and adds its outcome; a panic is a failure.
    pub fn run<O: Into<CaseOutcome>>(
        &mut self,
        id: &'static str,
        name: &'static str,
        case: impl FnOnce() -> O,
    ) {
        let outcome = match catch_unwind(AssertUnwindSafe(case)) {
            Ok(outcome) => outcome.into(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
                CaseOutcome::Failed(format!("panicked: {text}"))
            }
        };
        self.cases.push(Case { id, name, outcome });
    }

    /// The bullets that are broken.
    pub fn failed_ids(&self) -> Vec<&'static str> {
        let failed = self.cases.iter().filter(|case| matches!(case.outcome, CaseOutcome::Failed(_)));
        failed.map(|case| case.id).collect()
    }

    /// Ends the test that runs the suite if a case failed.
    ///
    /// # Panics
    ///
    /// With the whole report, if a case failed.
    pub fn assert_passed(&self) {
        assert!(self.failed_ids().is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.suite)?;
        for Case { id, name, outcome } in &self.cases {
            match outcome {
                CaseOutcome::Passed => writeln!(f, "  {id} passed: {name}")?,
                CaseOutcome::Failed(reason) => writeln!(f, "  {id} FAILED: {name}: {reason}")?,
                CaseOutcome::NotApplicable(reason) => writeln!(f, "  {id} not applicable: {reason}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_and_a_failure_are_failed_cases() {
        let mut report = Report::new("suite");
        report.run("X-01", "passes", || Ok(()));
        report.run("X-02", "fails", || Err("reason".to_string()));
        report.run("X-03", "panics", || -> Result<(), String> { panic!("number {}", 7) });
        report.run("X-04", "is not for it", || CaseOutcome::NotApplicable("no claim".into()));
        assert_eq!(report.failed_ids(), ["X-02", "X-03"]);
        let text = report.to_string();
        assert!(text.contains("reason") && text.contains("number 7") && text.contains("no claim"), "{text}");
    }
}
