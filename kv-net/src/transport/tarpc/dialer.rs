//! Making connections: address, socket, handshake, tarpc.

use std::fmt;
use std::sync::Arc;

use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::transport::CallError;

use super::connection::Connection;
use super::handshake::{Refused, greet};
use super::lifecycle::Lifecycle;
use super::options::TarpcOptions;
use super::socket;
use crate::transport::address_book::AddressBook;
use crate::transport::identity::Identity;

/// What every connection of one transport or client is made with.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) identity: Arc<Identity>,
    pub(super) addresses: Arc<AddressBook>,
    pub(super) options: TarpcOptions,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// Whom to reach.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// That node, at the address that the book has for it.
    Node(NodeId),
    /// Whatever node is at that address.
    Address(Arc<str>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(node) => write!(f, "node {node}"),
            Target::Address(address) => f.write_str(address),
        }
    }
}

impl Dialer {
    /// The address at which the target is to be reached at present.
    pub(super) fn address(&self, target: &Target) -> Option<Arc<str>> {
        match target {
            Target::Node(node) => self.addresses.get(*node),
            Target::Address(address) => Some(address.clone()),
        }
    }

    /// Connects to `address` and shakes hands. Every failure is one of sending nothing.
    pub(super) async fn dial(&self, target: &Target, address: &str) -> Result<Connection, CallError> {
        let not_sent = |kind, what: String| match target {
            Target::Node(_) => CallError::NotSent(kind, format!("{address}: {what}")),
            // Who named the address knows it.
            Target::Address(_) => CallError::NotSent(kind, what),
        };
        let failed = |what: String| not_sent(ErrorKind::ConnectionFailed, what);
        let connecting = socket::connect(address, &self.options);
        let mut stream = match tokio::time::timeout(self.options.connect_timeout, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(format!("cannot connect: {error}"))),
            Err(_) => {
                return Err(failed(format!("cannot connect within {:?}", self.options.connect_timeout)));
            }
        };
        let expects = match target {
            Target::Node(node) => Some(*node),
            Target::Address(_) => None,
        };
        let version = self.identity.version();
        let greeting = greet(&mut stream, &self.identity, expects);
        let remote = match tokio::time::timeout(self.options.handshake_timeout, greeting).await {
            Ok(Ok(remote)) => remote,
            Ok(Err(Refused { kind, reason })) => return Err(not_sent(kind, reason)),
            Err(_) => {
                return Err(failed(format!("no handshake within {:?}", self.options.handshake_timeout)));
            }
        };
        Ok(Connection::start(stream, remote, version, &self.options, &self.lifecycle))
    }
}
