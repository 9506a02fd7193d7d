//! The connection to a cluster.

use std::time::Duration;

use clap::Args;
use kv_core::error::Error;

use crate::text::parse_duration;
use kv_net::Client;

/// The nodes of a local cluster: whichever of them runs.
pub(crate) const SERVERS_DEFAULT: &str = "127.0.0.1:7380,127.0.0.1:7390,127.0.0.1:7400";

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// What the client waits longer than the operation may take, so that the node's own account of a failure arrives.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(500);

/// Which cluster, and how patient.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// A node of the cluster, host:port; several may be named, any that answers will do
    #[arg(long, short = 's', value_name = "ADDRESS", env = "KV_SERVER", value_delimiter = ',', default_value = SERVERS_DEFAULT, global = true, value_parser = address)]
    pub(super) server: Vec<String>,
    /// Time that the operation has, as in 500ms or 5s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, global = true)]
    pub(super) timeout: Option<Duration>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
}

fn address(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(text.to_string()),
        _ => Err("write host:port, as in 127.0.0.1:7380".into()),
    }
}

/// A client of a cluster.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) servers: Vec<String>,
    timeout: Option<Duration>,
    /// The command line of the server, which is documented with that of the client.
    pub(super) server_command: fn() -> clap::Command,
}

impl Session {
    /// Makes a client; it connects when it is used.
    pub(super) fn open(
        connection: &Connection,
        server_command: fn() -> clap::Command,
    ) -> Result<Self, Error> {
        let servers = connection.server.clone();
        Ok(Session {
            client: Self::client(&servers, connection.timeout)?,
            servers,
            timeout: connection.timeout,
            server_command,
        })
    }

    /// A client of its own with the same options, for another runtime.
    pub(super) fn client(servers: &[String], timeout: Option<Duration>) -> Result<Client, Error> {
        let timeout = timeout.unwrap_or(TIMEOUT_DEFAULT) + TIMEOUT_MARGIN;
        Client::builder().seeds(servers.iter().cloned()).timeout(timeout).build()
    }

    /// The timeout, if one was asked for.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The timeout as operations carry it; none leaves it to the node.
    pub(super) fn timeout_ms(&self) -> Option<u32> {
        self.timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1))
    }

    /// The server that was named first.
    pub(super) fn first_server(&self) -> &str {
        self.servers.first().map_or("", String::as_str)
    }
}
