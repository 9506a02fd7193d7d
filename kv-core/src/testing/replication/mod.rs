//! Conformance suite of the replication plug-in.

mod cases;
mod scenario;
#[cfg(test)]
mod tests;

use crate::replication::ReplicationStrategy;
use crate::testing::report::Report;

/// Runs the suite: `make` makes instances that should be alike, as two processes of one cluster would.
///
/// # Examples
///
/// ```
/// use kv_core::replication::BalancedPlacement;
///
/// kv_core::testing::replication::check(&|| Box::new(BalancedPlacement)).assert_passed();
/// ```
pub fn check(make: &dyn Fn() -> Box<dyn ReplicationStrategy>) -> Report {
    let mut report = Report::new(format!("replication strategy {}", make().name()));
    report.run("L-01", "every list names every member once", || cases::every_member_once(&*make()));
    report.run("L-02", "the same request gets the same answer", || cases::always_the_same(make));
    report.run("L-03", "owners lie in as many zones as possible", || cases::zones(&*make()));
    report.run("L-04", "members own in proportion to capacity", || cases::balance(&*make()));
    report.run("L-05", "little moves when a member comes or goes", || cases::movement(&*make()));
    report.run("L-06", "1 to 64 members and a factor of 100 work", || cases::range(&*make()));
    report
}
