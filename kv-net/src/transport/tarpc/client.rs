//! The client's side.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::ids::ClusterId;
use kv_core::transport::CallError;
use parking_lot::RwLock;

use super::dialer::{Dialer, Target};
use super::endpoint::Endpoint;
use super::lifecycle::Lifecycle;
use super::options::TarpcOptions;
use crate::transport::ClientTransport;
use crate::transport::identity::{Identity, RemoteIdentity};

/// Most addresses that one client keeps connections to.
const ADDRESSES_MAX: usize = 1_024;

/// Calls nodes over TCP without being one; the address of a node is `host:port`.
///
/// Connections are made at the first call to an address and kept. Calls are to be awaited in a tokio runtime with time and I/O
/// enabled.
pub struct TarpcClient {
    dialer: Arc<Dialer>,
    endpoints: RwLock<HashMap<Arc<str>, Arc<Endpoint>>>,
}

impl fmt::Debug for TarpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarpcClient").field("identity", &self.dialer.identity).finish_non_exhaustive()
    }
}

impl TarpcClient {
    /// A client without connections yet. With a `cluster` it refuses nodes of any other.
    pub fn new(cluster: Option<ClusterId>, options: TarpcOptions) -> Self {
        let dialer = Dialer {
            identity: Arc::new(Identity::client(cluster)),
            addresses: Arc::default(),
            options,
            lifecycle: Arc::new(Lifecycle::default()),
        };
        TarpcClient { dialer: Arc::new(dialer), endpoints: RwLock::default() }
    }

    /// Who is at `address`, as it said in its handshake; connects if need be.
    ///
    /// # Errors
    ///
    /// [`CallError::NotSent`] if no connection can be made within `deadline`.
    pub async fn identify(&self, address: &str, deadline: Duration) -> Result<RemoteIdentity, CallError> {
        let endpoint = self.endpoint(address)?;
        endpoint.identify(deadline).await
    }

    /// Refuses nodes of any other cluster from now on.
    pub fn set_cluster(&self, cluster: ClusterId) {
        self.dialer.identity.set_cluster(cluster);
    }

    fn endpoint(&self, address: &str) -> Result<Arc<Endpoint>, CallError> {
        if let Some(endpoint) = self.endpoints.read().get(address) {
            return Ok(endpoint.clone());
        }
        let mut endpoints = self.endpoints.write();
        if endpoints.len() >= ADDRESSES_MAX {
            endpoints.retain(|_, endpoint| !endpoint.is_idle());
        }
        if endpoints.len() >= ADDRESSES_MAX {
            return Err(CallError::NotSent(
                ErrorKind::Overloaded,
                format!("this client is connected to {ADDRESSES_MAX} addresses already"),
            ));
        }
        let key: Arc<str> = address.into();
        let target = Target::Address(key.clone());
        let endpoint =
            endpoints.entry(key).or_insert_with(|| Arc::new(Endpoint::new(self.dialer.clone(), target)));
        Ok(endpoint.clone())
    }
}

#[async_trait]
impl ClientTransport for TarpcClient {
    async fn call(&self, address: &str, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let endpoint = self.endpoint(address)?;
        endpoint.call(frame, deadline).await
    }

    async fn shut_down(&self, grace: Duration) {
        for endpoint in self.endpoints.read().values() {
            endpoint.close();
        }
        self.dialer.lifecycle.shut_down(grace).await;
    }
}

impl Drop for TarpcClient {
    fn drop(&mut self) {
        self.dialer.lifecycle.abandon();
    }
}
