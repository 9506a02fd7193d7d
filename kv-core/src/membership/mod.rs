//! Who is there: failure detection by gossip, without I/O.
//!
//! [`Membership`] is SWIM (Das et al., "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002) as `foca`
//! implements it. Who belongs to the cluster says the layout; this says which of its members can be reached, and where.

mod identity;
mod liveness;
mod timers;
mod value;

pub use identity::PeerIdentity;
pub use liveness::Liveness;
pub use value::{Membership, MembershipEffect};
