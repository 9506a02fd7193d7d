//! One case per bullet of the contract. A case panics where the engine breaks its bullet, and leans on other bullets as
//! little as it can, so that the report names the one that is broken.

mod race;
mod random;
mod store;

mod s01_get;
mod s02_sizes;
mod s03_batches;
mod s04_scan;
mod s05_delete_range;
mod s06_get_many;
mod s07_visibility;
mod s08_not_written;
mod s09_durability;
mod s10_one_owner;
mod s11_threads;
mod s12_stats;

use super::{Outcome, StorageFactory};

/// A case and the bullet that it checks.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: &'static str,
    pub(super) check: fn(&dyn StorageFactory) -> Outcome,
}

/// Every case, in the order of the bullets.
pub(super) const ALL: &[Case] = &[
    Case { id: "S-01", check: s01_get::check },
    Case { id: "S-02", check: s02_sizes::check },
    Case { id: "S-03", check: s03_batches::check },
    Case { id: "S-04", check: s04_scan::check },
    Case { id: "S-05", check: s05_delete_range::check },
    Case { id: "S-06", check: s06_get_many::check },
    Case { id: "S-07", check: s07_visibility::check },
    Case { id: "S-08", check: s08_not_written::check },
    Case { id: "S-09", check: s09_durability::check },
    Case { id: "S-10", check: s10_one_owner::check },
    Case { id: "S-11", check: s11_threads::check },
    Case { id: "S-12", check: s12_stats::check },
];

const NOT_DURABLE: Outcome = Outcome::NotApplicable("the engine is not durable");
