//! Who owns what: members, partitions and their placement, as one value with a version.

mod member;
mod partitioning;
mod placement;
mod value;

pub use member::{FailureDomain, Member};
pub use partitioning::Partitioning;
pub use placement::{Placement, UnmetConstraint};
pub use value::{Layout, LayoutDraft};
