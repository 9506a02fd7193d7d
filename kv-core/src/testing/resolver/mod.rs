//! Conformance suite of the resolver plug-in.

mod cases;
mod causality;
mod sample;
#[cfg(test)]
mod tests;

use crate::resolver::ConflictResolver;
use crate::testing::report::Report;

/// Runs the suite.
///
/// # Examples
///
/// ```
/// kv_core::testing::resolver::check(&kv_core::resolver::LastWriteWins).assert_passed();
/// ```
pub fn check(resolver: &dyn ConflictResolver) -> Report {
    let mut report = Report::new(format!("conflict resolver {}", resolver.name()));
    report.run("R-01", "keep keeps one or more, whatever the order", || cases::keep_is_of_the_set(resolver));
    report.run("R-02", "keep in steps is keep at once", || cases::keep_in_steps(resolver));
    report
        .run("R-03", "records of any causal history merge to the same", || causality::merges_agree(resolver));
    report.run("R-04", "combine is a function of the set", || cases::combine_is_of_the_set(resolver));
    report.run("R-05", "no value makes it panic", || cases::any_value(resolver));
    report
}
