use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::node::Node;
use crate::resp::connection;
use crate::resp::meter::RespMeter;
use crate::resp::options::RespOptions;
use crate::resp::session::Door;
use crate::resp::table::COMMANDS;

/// A front door whose address is taken and which serves nobody yet.
#[derive(Debug)]
pub struct RespListener(TcpListener);

impl RespListener {
    /// Takes an address. Port 0 lets the operating system choose.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(RespListener(listener))
    }

    /// The address that was taken.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves clients of `node` from the present runtime.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn serve(self, node: Arc<Node>, options: RespOptions) -> io::Result<RespServer> {
        let port = self.local_address()?.port();
        let listener = tokio::net::TcpListener::from_std(self.0)?;
        let door = Arc::new(Door::new(node, port, COMMANDS.len(), options.limits.request_bytes_max));
        let stop = watch::Sender::new(false);
        let meter = RespMeter(door.clone());
        let task = tokio::spawn(accept(listener, door, options, stop.subscribe()));
        Ok(RespServer { stop, task, meter })
    }
}

/// A front door that serves.
#[derive(Debug)]
pub struct RespServer {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    meter: RespMeter,
}

impl RespServer {
    /// Tells what it does, for its metrics ([`crate::metrics`]).
    pub fn meter(&self) -> RespMeter {
        self.meter.clone()
    }

    /// Takes no more commands, answers those that were begun for as long as `grace`, and closes everything.
    pub async fn shut_down(self, grace: Duration) {
        self.stop.send_replace(true);
        let RespServer { mut task, .. } = self;
        if tokio::time::timeout(grace, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    door: Arc<Door>,
    options: RespOptions,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut turn = 0_usize;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, mostly: those that are open go on.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        if connections.len() >= options.connections_max {
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            continue;
        }
        let _ = stream.set_nodelay(true);
        door.counts.connections.fetch_add(1, Ordering::Relaxed);
        let handle = match options.runtimes.get(turn % options.runtimes.len().max(1)) {
            Some(handle) => handle.clone(),
            None => Handle::current(),
        };
        turn = turn.wrapping_add(1);
        let (door, options, stop) = (door.clone(), options.clone(), stop.clone());
        // A socket belongs to the runtime that watches it.
        let Ok(stream) = stream.into_std() else { continue };
        let served = async move {
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => connection::serve(door, stream, address.to_string(), options, stop).await,
                Err(error) => Err(error),
            }
        };
        connections.spawn_on(served, &handle);
    }
    while connections.join_next().await.is_some() {}
}
