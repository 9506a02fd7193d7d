use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::future::BoxFuture;
use kv_core::error::{Error, ErrorKind};
use kv_core::key::Key;
use parking_lot::RwLock;

use crate::node::{Node, PendingPut};
use crate::resp::counts::Counts;
use crate::resp::reply::{Protocol, Reply};

/// The bucket that connections begin with: database 0.
pub(super) const BUCKET_0: &str = "redis";

/// What all connections of a front door share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) node: Arc<Node>,
    pub(super) port: u16,
    /// Most bytes of the values of one reply.
    pub(super) reply_bytes_max: usize,
    pub(super) started: Instant,
    pub(super) counts: Counts,
    next_id: AtomicU64,
    pub(super) clients: RwLock<std::collections::BTreeMap<u64, ClientInfo>>,
}

/// What is known of a connection beside what it does.
#[derive(Debug, Clone)]
pub(super) struct ClientInfo {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) library: (String, String),
    pub(super) since: Instant,
    pub(super) bucket: Arc<str>,
    pub(super) protocol: Protocol,
}

/// A connection's own state, which commands see as it is when they start.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) door: Arc<Door>,
    pub(super) id: u64,
    pub(super) bucket: Arc<str>,
    pub(super) protocol: Protocol,
}

/// What a command comes to.
pub(super) enum Execution {
    /// At once.
    Done(Reply),
    /// Later.
    Later(BoxFuture<'static, Reply>),
    /// Once a put is applied.
    Put(PendingPut),
    /// At once, and the connection ends.
    Close(Reply),
}

impl Execution {
    pub(super) fn later(reply: impl Future<Output = Reply> + Send + 'static) -> Self {
        Execution::Later(Box::pin(reply))
    }
}

impl From<Reply> for Execution {
    fn from(reply: Reply) -> Self {
        Execution::Done(reply)
    }
}

impl Door {
    pub(super) fn new(node: Arc<Node>, port: u16, commands: usize, reply_bytes_max: usize) -> Self {
        Door {
            node,
            port,
            reply_bytes_max,
            started: Instant::now(),
            counts: Counts::new(commands),
            next_id: AtomicU64::new(1),
            clients: RwLock::default(),
        }
    }
}

impl Session {
    pub(super) fn open(door: Arc<Door>, address: String) -> Self {
        let id = door.next_id.fetch_add(1, Ordering::Relaxed);
        let bucket: Arc<str> = BUCKET_0.into();
        let info = ClientInfo {
            address,
            name: String::new(),
            library: Default::default(),
            since: Instant::now(),
            bucket: bucket.clone(),
            protocol: Protocol::Resp2,
        };
        door.clients.write().insert(id, info);
        Session { door, id, bucket, protocol: Protocol::Resp2 }
    }

    /// Changes what others are told of this connection.
    pub(super) fn tell(&self, change: impl FnOnce(&mut ClientInfo)) {
        if let Some(info) = self.door.clients.write().get_mut(&self.id) {
            change(info);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.door.clients.write().remove(&self.id);
    }
}

/// A key as clients of Redis send it.
pub(super) fn key(bytes: bytes::Bytes) -> Result<Key, Reply> {
    Key::new(bytes).map_err(|error| failure(&error))
}

/// An error of the store as clients of Redis see it: the code says whether to try again.
pub(super) fn failure(error: &Error) -> Reply {
    let code = match error.kind() {
        ErrorKind::Unavailable if error.message().contains("no cluster") => "CLUSTERDOWN",
        ErrorKind::ReadOnly => "READONLY",
        _ if error.is_retryable() => "TRYAGAIN",
        _ => "ERR",
    };
    Reply::Error(format!("{code} {error}"))
}

/// A write of which nobody knows whether it happened.
pub(super) fn unknown(error: &Error) -> Reply {
    Reply::Error(format!("INDETERMINATE the write may have happened: {error}"))
}
