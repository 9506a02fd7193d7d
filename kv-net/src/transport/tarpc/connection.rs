//! One connection that this side dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::transport::CallError;
use tarpc::client::{Channel, Config, RpcError};
use tarpc::context;
use tokio::net::TcpStream;

use super::codec::{CallerCodec, framed};
use super::lifecycle::Lifecycle;
use super::message::{Answer, Frame};
use super::options::TarpcOptions;
use crate::transport::identity::RemoteIdentity;

/// Longest deadline of a call; timers take no more than two years.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much tarpc's own deadline is later than ours, so that only one of the two speaks.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

/// An established connection. Requests that are under way keep it alive after it was replaced.
#[derive(Debug)]
pub(super) struct Connection {
    channel: Channel<Frame, Answer>,
    context: context::Context,
    closed: Arc<AtomicBool>,
    goodbye: Arc<AtomicBool>,
    remote: RemoteIdentity,
    identity_version: u64,
}

/// Marks the connection closed before anything that it carried is told so.
struct ClosedAtEnd(Arc<AtomicBool>);

impl Drop for ClosedAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connection {
    /// Starts tarpc on a connection whose handshake is done, in a task of the current runtime.
    pub(super) fn start(
        stream: TcpStream,
        remote: RemoteIdentity,
        identity_version: u64,
        options: &TarpcOptions,
        lifecycle: &Arc<Lifecycle>,
    ) -> Self {
        let mut config = Config::default();
        config.max_in_flight_requests = options.requests_in_flight_max;
        config.pending_request_buffer = options.requests_in_flight_max;
        let codec = CallerCodec::new(options.frame_bytes_max);
        let goodbye = codec.goodbye();
        let transport = framed(stream, codec);
        let tarpc::client::NewClient { client, dispatch } = tarpc::client::new(config, transport);
        let closed = Arc::new(AtomicBool::new(false));
        let at_end = ClosedAtEnd(closed.clone());
        let life = lifecycle.clone();
        lifecycle.connections.spawn(async move {
            let mut dispatch = std::pin::pin!(dispatch);
            // Dropped before `dispatch`, which tells the calls under way.
            let _at_end = at_end;
            if let Some(Err(error)) = life.until_end(dispatch.as_mut()).await {
                tracing::debug!(%error, "connection broke");
            }
        });
        Connection { channel: client, context: context::current(), closed, goodbye, remote, identity_version }
    }

    /// Whether new calls may go over it: it is open, and its handshake told what this side would tell today.
    pub(super) fn is_usable(&self, identity_version: u64) -> bool {
        let open = !self.closed.load(Ordering::Acquire) && !self.goodbye.load(Ordering::Acquire);
        open && self.identity_version == identity_version
    }

    /// Who is at the other end.
    pub(super) fn remote(&self) -> RemoteIdentity {
        self.remote
    }

    /// Carries one frame and brings back its answer.
    pub(super) async fn call(&self, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(CallError::NotSent(ErrorKind::ConnectionFailed, "the connection was closed".into()));
        }
        let deadline = deadline.min(DEADLINE_MAX);
        let mut context = self.context;
        context.deadline = Instant::now() + deadline + DEADLINE_SLACK;
        // tarpc's deadline does not begin until a request is on its way into the socket; this one covers the queue before that.
        let answer = tokio::time::timeout(deadline, self.channel.call(context, Frame(frame))).await;
        match answer {
            Ok(Ok(Answer::Frame(answer))) => Ok(answer),
            Ok(Ok(Answer::Refused(kind))) => Err(refused(kind)),
            Err(_) | Ok(Err(RpcError::DeadlineExceeded)) => Err(CallError::NoAnswer(
                ErrorKind::DeadlineExceeded,
                format!("no answer within {deadline:?}"),
            )),
            Ok(Err(error)) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &RpcError) -> CallError {
        match error {
            RpcError::Send(source) => {
                CallError::NotSent(ErrorKind::FrameTooLarge, format!("the frame cannot be sent: {source}"))
            }
            _ if self.goodbye.load(Ordering::Acquire) => CallError::NotSent(
                ErrorKind::ShuttingDown,
                "the other side shut down without taking the request".into(),
            ),
            _ => CallError::NoAnswer(ErrorKind::ConnectionLost, format!("the connection was lost: {error}")),
        }
    }
}

fn refused(kind: ErrorKind) -> CallError {
    match kind {
        // The other side counts requests before it hands them on.
        ErrorKind::Overloaded => {
            CallError::NotSent(kind, "the other side has too many requests in flight from here".into())
        }
        ErrorKind::FrameTooLarge => {
            CallError::NoAnswer(kind, "the answer is above the other side's frame_bytes_max".into())
        }
        _ => CallError::NoAnswer(kind, "the other side failed to answer".into()),
    }
}
