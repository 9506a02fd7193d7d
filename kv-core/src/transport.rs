//! The transport plug-in: carries one frame to a peer and brings back its answer.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::error::ErrorKind;
use crate::ids::NodeId;

/// Who sent a frame: what it said in the handshake, held against the members of the layout. That is no authentication: the network between members
/// has to be closed to strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A member of the cluster.
    Peer(NodeId),
    /// A client; peer verbs are refused to it.
    Client,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// Nothing was sent: the call may be made again elsewhere without harm.
    #[error("not sent: {1}")]
    NotSent(ErrorKind, String),
    /// The request may have been carried out.
    #[error("no answer: {1}")]
    NoAnswer(ErrorKind, String),
}

impl CallError {
    /// The kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            CallError::NotSent(kind, _) | CallError::NoAnswer(kind, _) => *kind,
        }
    }
}

/// Takes the frames that arrive. The node implements it.
#[async_trait]
pub trait FrameHandler: Debug + Send + Sync + 'static {
    /// Answers one frame. Never panics on any input; the answer to rubbish is an answer that says so.
    ///
    /// The frame may be a slice of a larger buffer: what is kept for long is to be copied out of it.
    async fn handle(&self, sender: Sender, frame: Bytes) -> Bytes;
}

/// Carries frames between nodes. It knows nothing of what is in them.
///
/// # Contract
///
/// `kv_core::testing::transport` has one case per bullet.
///
/// - `T-01`: a call brings the peer's frame to its handler byte for byte and the handler's answer back, empty frames included.
/// - `T-02`: any number of calls are under way at a time, and each gets its own answer.
/// - `T-03`: a call ends by its deadline (within a second of grace), whatever the peer does.
/// - `T-04`: the handler is told the true identity of the sender.
/// - `T-05`: a call to a peer that cannot be reached fails with [`CallError::NotSent`], once the transport has noticed; calls to it
///   succeed again soon after it can be reached again (within the transport's longest pause between connects), without help.
/// - `T-06`: one slow handler does not delay the answers of others.
/// - `T-07`: a frame above the bound is refused with [`ErrorKind::FrameTooLarge`]: as [`CallError::NotSent`] if it is the request, as
///   [`CallError::NoAnswer`] if it is the answer. Other calls go on.
/// - `T-08`: a request is handed to the handler at most once per call.
/// - `T-09`: after `shut_down` calls fail with [`CallError::NotSent`]; those under way end with their answer, if it is ready within
///   the grace, or fail by their deadline. Nothing hangs.
/// - `T-10`: a request that was handed to the handler is carried out, although the call was dropped, its deadline passed, or its
///   connection broke.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Begins to hand frames that arrive to `handler`. Called once.
    ///
    /// # Errors
    ///
    /// A message for people if the transport cannot receive, for example because an address is in use.
    async fn start(&self, handler: Arc<dyn FrameHandler>) -> Result<(), crate::error::Error>;

    /// Carries `frame` to `peer` and brings back its answer.
    ///
    /// # Errors
    ///
    /// [`CallError`] tells whether anything was sent.
    async fn call(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError>;

    /// The same for a small frame that must not wait behind large ones: a transport that has connections carries it over one that is used
    /// for nothing else.
    ///
    /// # Errors
    ///
    /// As [`Transport::call`].
    async fn call_apart(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        self.call(peer, frame, deadline).await
    }

    /// Stops receiving, lets handlers that run finish within `grace`, and closes the connections.
    async fn shut_down(&self, grace: Duration);
}
