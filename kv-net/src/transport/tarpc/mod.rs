//! The reference transport: [tarpc](https://docs.rs/tarpc) over TCP.
//!
//! tarpc multiplexes requests over a connection, keeps their deadlines and batches what is ready together. What it leaves to its
//! users is here: sockets and their options, the handshake in which both sides say who they are, a codec whose frames are bounded,
//! several connections per peer, and reconnecting after a pause that grows.
//!
//! A connection carries requests one way: from the side that dialled to the side that accepted.

mod backoff;
mod client;
mod codec;
mod connection;
mod dialer;
mod endpoint;
mod farewell;
mod handshake;
mod header;
mod lifecycle;
mod listener;
mod message;
mod options;
mod serving;
mod socket;
mod transport;

pub use client::TarpcClient;
pub use options::TarpcOptions;
pub use transport::TarpcTransport;

/// The parts of a bare tarpc connection with this transport's codec, for benchmarks and for tests of the codec.
#[doc(hidden)]
pub mod parts {
    pub use super::codec::{CallerCodec, ResponderCodec, framed};
    pub use super::handshake::{Hello, MAGIC, Reply, VERSION_MAX, VERSION_MIN, encode_message};
    pub use super::message::{Answer, Frame};
}
