//! Exact causality: dots, sets of dots, stamps, contexts and clocks.

mod clock;
mod context;
mod dot;
mod dot_set;
mod stamp;

pub use clock::{Clock, PeerClocks};
pub use context::{Context, ContextToken};
pub use dot::{Actor, Dot};
pub use dot_set::DotSet;
pub(crate) use dot_set::{decode_actor, encode_actor};
pub use stamp::Stamp;
