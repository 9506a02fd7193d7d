//! Accepting connections and shaking hands on them.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use kv_core::transport::Sender;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handshake::receive;
use super::serving::{Host, Serving};
use super::socket::tune;

/// Pause after a failed accept: usually the process has run out of file descriptors, and asking again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Told of each peer whose handshake succeeded.
pub(super) type PeerSeen = Arc<dyn Fn(Sender) + Send + Sync>;

/// Accepts until the transport stops.
pub(super) async fn accept(listener: tokio::net::TcpListener, host: Arc<Host>, seen: PeerSeen) {
    let places = Arc::new(Semaphore::new(host.options.connections_max));
    let runtimes = match host.options.runtimes.as_slice() {
        [] => vec![Handle::current()],
        runtimes => runtimes.to_vec(),
    };
    for runtime in runtimes.iter().cycle() {
        let stream = loop {
            tokio::select! {
                () = host.lifecycle.stopping() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => break stream,
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(connections_max = host.options.connections_max, "connection refused: too many");
            continue;
        };
        // Into the runtime that is to serve it, whose reactor has to know the socket.
        let Ok(stream) = stream.into_std() else { continue };
        let connection = serve(stream, host.clone(), seen.clone(), place);
        host.lifecycle.connections.spawn_on(connection, runtime);
    }
}

async fn serve(stream: std::net::TcpStream, host: Arc<Host>, seen: PeerSeen, _place: OwnedSemaphorePermit) {
    let Ok(mut stream) = TcpStream::from_std(stream) else { return };
    if let Err(error) = tune(&stream, &host.options) {
        tracing::debug!(%error, "connection lost before its handshake");
        return;
    }
    let handshake = tokio::select! {
        () = host.lifecycle.stopping() => return,
        handshake = tokio::time::timeout(host.options.handshake_timeout, receive(&mut stream, &host.identity)) => handshake,
    };
    let remote = match handshake {
        Ok(Ok(remote)) => remote,
        Ok(Err(refused)) => {
            tracing::debug!(kind = refused.kind.name(), reason = refused.reason, "handshake refused");
            return;
        }
        Err(_) => {
            tracing::debug!("no handshake in time");
            return;
        }
    };
    seen(remote.role);
    let mut serving = Serving::new(host.clone(), stream, remote);
    let turns = std::future::poll_fn(move |context| serving.poll_turn(context));
    if let Some(Err(error)) = host.lifecycle.until_end(turns).await {
        tracing::debug!(%error, "connection broke");
    }
}

/// The listener, in the hands of the current runtime.
pub(super) fn adopt(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener)
}
