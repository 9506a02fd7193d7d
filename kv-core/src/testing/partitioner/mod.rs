//! Conformance suite of the partitioner plug-in.

mod cases;
#[cfg(test)]
mod tests;

use crate::partitioner::Partitioner;
use crate::testing::report::Report;

/// Runs the suite: `make` makes instances that should be alike, as two processes of one cluster would.
///
/// # Examples
///
/// ```
/// use kv_core::partitioner::Xxh3Partitioner;
///
/// kv_core::testing::partitioner::check(&|| Box::new(Xxh3Partitioner)).assert_passed();
/// ```
pub fn check(make: &dyn Fn() -> Box<dyn Partitioner>) -> Report {
    let mut report = Report::new("partitioner");
    report.run("P-01", "a key always has the same token", || cases::always_the_same(make));
    report
        .run("P-02", "the token depends on the key alone, and on every byte", || cases::every_byte(&*make()));
    report.run("P-03", "keys of 1 to 1,024 bytes have a token", || cases::every_length(&*make()));
    report.run("P-04", "keys that differ little are spread evenly", || cases::uniform(&*make()));
    report.run("P-05", "a larger key never has a smaller token", || cases::ordered(&*make()));
    report
}
