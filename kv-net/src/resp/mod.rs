//! The front door for clients of Redis: RESP2 and RESP3 over TCP.
//!
//! Commands of one connection start in the order in which they arrive. On different keys they run side by side; a command waits for earlier
//! ones on its keys; replies leave in order. So a GET after a SET on one connection sees it, and a pipeline is as fast as the node.
//! Which commands there are, and where they differ from Redis, is said by one table ([`table::COMMANDS`]), from which commands are dispatched.

mod connection;
mod counts;
mod expiry;
mod glob;
mod keys;
mod listener;
mod meter;
mod moment;
mod options;
mod own;
mod reply;
mod request;
mod scan;
mod server;
mod session;
pub mod table;

pub use listener::{RespListener, RespServer};
pub use meter::RespMeter;
pub use options::RespOptions;
pub use reply::{Protocol, Reply};
pub use request::{ProtocolError, Request, RequestLimits, RequestReader};
