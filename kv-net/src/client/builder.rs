use std::sync::Arc;
use std::time::Duration;

use kv_core::error::{Error, ErrorKind};
use kv_core::partitioner::{Partitioner, Xxh3Partitioner};

use crate::client::Client;
use crate::transport::ClientTransport;

/// Puts a [`Client`] together.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    pub(super) seeds: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) transport: Option<Arc<dyn ClientTransport>>,
    pub(super) partitioners: Vec<Arc<dyn Partitioner>>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        ClientBuilder {
            seeds: Vec::new(),
            timeout: Duration::from_secs(5),
            transport: None,
            partitioners: vec![Arc::new(Xxh3Partitioner)],
        }
    }
}

impl ClientBuilder {
    /// Adds the address of a node, from which the client learns of the others.
    #[must_use]
    pub fn seed(mut self, address: impl Into<String>) -> Self {
        self.seeds.push(address.into());
        self
    }

    /// Adds the addresses of several nodes.
    #[must_use]
    pub fn seeds<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.seeds.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// How long an operation may take that names no timeout, retries included. 5 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls nodes over this transport instead of tarpc.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn ClientTransport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Knows one more partitioner, so that keys of a cluster that uses it can be sent straight to their owners.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.partitioners.push(Arc::new(partitioner));
        self
    }

    /// The client. It connects when it is first used, which is to happen in a tokio runtime with time and I/O enabled.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] if there is no seed, or no transport in a build without tarpc.
    pub fn build(self) -> Result<Client, Error> {
        if self.seeds.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a client needs the address of at least one node",
            ));
        }
        let transport = match self.transport.clone() {
            Some(transport) => transport,
            None => default_transport()?,
        };
        Ok(Client::new(self, transport))
    }
}

#[cfg(feature = "tarpc")]
fn default_transport() -> Result<Arc<dyn ClientTransport>, Error> {
    let options = crate::transport::TarpcOptions::default();
    Ok(Arc::new(crate::transport::TarpcClient::new(None, options)))
}

#[cfg(not(feature = "tarpc"))]
fn default_transport() -> Result<Arc<dyn ClientTransport>, Error> {
    Err(Error::new(ErrorKind::InvalidConfiguration, "this build has no default transport: name one"))
}
