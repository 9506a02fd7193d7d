//! The runtime of a node: drives [`kv_core::machine::NodeMachine`] with tokio, a store and a transport.
//!
//! Reads run where the request arrives. Writes wait in a bounded queue for the store's one writer thread, which commits what has gathered
//! as one batch. Coordination runs in whichever task brings an event, under a lock that is held neither over storage nor plug-ins nor awaits.

mod admin;
mod commits;
mod config;
mod drive;
mod figures;
mod handler;
mod live;
mod local_gets;
mod peer_states;
mod pending;
mod queue;
mod refusals;
mod shared;
mod space;
mod spans;
mod status;
mod sweep;
mod ticket;
mod timer;
mod value;
mod writer;

pub use commits::CommitFigures;
pub use config::NodeConfig;
pub use figures::NodeFigures;
pub use local_gets::LocalGetFigures;
pub use peer_states::PeerFigures;
pub use pending::PendingPut;
#[cfg(feature = "resp")]
pub(crate) use shared::wall_ms;
pub use value::Node;
