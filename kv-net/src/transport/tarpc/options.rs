//! The bounds and pauses of a tarpc transport.

use std::time::Duration;

use kv_core::limits::Limits;
use tokio::runtime::Handle;

/// The options of a tarpc transport or client; start from `default()` and change fields.
#[derive(Debug, Clone)]
pub struct TarpcOptions {
    /// Largest frame, in bytes, in either direction. All nodes and clients of a cluster should use the same.
    pub frame_bytes_max: usize,
    /// Most requests in flight: to one peer or address, and at one accepted connection. More are refused as overloaded.
    pub requests_in_flight_max: usize,
    /// Connections to each peer or address, for each of `runtimes`.
    pub connections_per_peer: usize,
    /// Most accepted connections; more are closed at once.
    pub connections_max: usize,
    /// Longest time for resolving a name and connecting to it.
    pub connect_timeout: Duration,
    /// Longest time for the handshake of a connection, at either side.
    pub handshake_timeout: Duration,
    /// Pause after the first failed connect; it doubles with each further one.
    pub backoff_min: Duration,
    /// Longest pause after a failed connect.
    pub backoff_max: Duration,
    /// Silence after which the operating system asks whether the other side is still there.
    pub keepalive: Duration,
    /// How long sent bytes may stay unacknowledged before the operating system gives the connection up.
    pub unacknowledged_max: Duration,
    /// The runtimes over which accepted connections are spread, one current-thread runtime per core; each also gets outgoing
    /// connections of its own. Empty: the runtime on which the transport is started.
    pub runtimes: Vec<Handle>,
}

impl Default for TarpcOptions {
    fn default() -> Self {
        let limits = Limits::default();
        TarpcOptions {
            frame_bytes_max: limits.frame_bytes_max,
            requests_in_flight_max: limits.requests_in_flight_max,
            connections_per_peer: 2,
            connections_max: 4_096,
            connect_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            keepalive: Duration::from_secs(10),
            unacknowledged_max: Duration::from_secs(10),
            runtimes: Vec::new(),
        }
    }
}
