//! Transports: in process ([`local`]) and over TCP ([`tarpc`], the reference).

pub mod address_book;
pub mod client_transport;
pub mod identity;
pub mod local;
#[cfg(feature = "tarpc")]
pub mod tarpc;

mod detached;

pub use address_book::AddressBook;
pub use client_transport::ClientTransport;
pub use identity::{Identity, RemoteIdentity};
pub use local::{LocalClient, LocalNetwork, LocalTransport};
#[cfg(feature = "tarpc")]
pub use tarpc::{TarpcClient, TarpcOptions, TarpcTransport};
