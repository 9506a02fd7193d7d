//! One connection that this side accepted: reads requests, runs handlers, writes answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{Sink, Stream};
use kv_core::error::ErrorKind;
use kv_core::transport::FrameHandler;
use tarpc::server::{BaseChannel, TrackedRequest};
use tarpc::{ChannelError, Response};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::codec::ResponderCodec;
use super::farewell::Farewell;
use super::lifecycle::Lifecycle;
use super::message::{Answer, Frame};
use super::options::TarpcOptions;
use crate::transport::detached::{Begun, begin};
use crate::transport::identity::{Identity, RemoteIdentity, clusters_agree};

/// How many messages one turn moves before other tasks of the runtime have theirs.
const MESSAGES_PER_TURN: usize = 128;

/// How long the other side may take to close a connection that was closed here. A socket that is let go with bytes unread would tear down
/// what was sent last with it.
const LINGER: Duration = Duration::from_secs(1);

type Channel = BaseChannel<Frame, Answer, Farewell>;
type Failure = ChannelError<std::io::Error>;

/// What all accepted connections of one transport share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) identity: Arc<Identity>,
    pub(super) handler: Arc<dyn FrameHandler>,
    pub(super) options: TarpcOptions,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// A connection at work.
///
/// tarpc's own server would drop a handler when its caller stops waiting. A request that has arrived is carried out, so handlers
/// run in tasks that tarpc does not know, and only their answers pass through it.
pub(super) struct Serving {
    host: Arc<Host>,
    remote: RemoteIdentity,
    identity_version: u64,
    channel: Channel,
    /// Answers of spawned handlers; never more than `running`, which is bounded.
    answers: mpsc::UnboundedReceiver<Response<Answer>>,
    answer: mpsc::UnboundedSender<Response<Answer>>,
    running: usize,
    /// Runs once this side has closed.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Serving {
    /// Serves a connection whose handshake is done.
    pub(super) fn new(host: Arc<Host>, stream: TcpStream, remote: RemoteIdentity) -> Self {
        let codec = ResponderCodec::new(host.options.frame_bytes_max);
        let channel = BaseChannel::with_defaults(Farewell::new(stream, codec));
        let (answer, answers) = mpsc::unbounded_channel();
        let identity_version = host.identity.version();
        Serving { host, remote, identity_version, channel, answers, answer, running: 0, linger: None }
    }

    /// One turn: writes what is ready, reads what has arrived. Ends when the other side has closed or the transport stops, and
    /// every handler has answered.
    pub(super) fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut reading = !self.host.lifecycle.is_stopping() && self.cluster_still_agrees();
        for _ in 0..MESSAGES_PER_TURN {
            ready!(Pin::new(&mut self.channel).poll_ready(context))?;
            if let Poll::Ready(Some(response)) = self.answers.poll_recv(context) {
                self.running -= 1;
                Pin::new(&mut self.channel).start_send(response)?;
                continue;
            }
            if reading {
                match Pin::new(&mut self.channel).poll_next(context) {
                    Poll::Ready(Some(request)) => {
                        self.take(request?)?;
                        continue;
                    }
                    Poll::Ready(None) => reading = false,
                    Poll::Pending => {}
                }
            }
            ready!(Pin::new(&mut self.channel).poll_flush(context))?;
            if !reading && self.running == 0 {
                return self.poll_farewell(context);
            }
            return Poll::Pending;
        }
        context.waker().wake_by_ref();
        // A flush that is pending wakes this task too.
        let _ = Pin::new(&mut self.channel).poll_flush(context)?;
        Poll::Pending
    }

    /// Closes this side, after it has said that no more requests are taken, and waits a little for the other.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(Pin::new(&mut self.channel).poll_close(context))?;
        if let Poll::Ready(None | Some(Err(_))) = Pin::new(&mut self.channel).poll_next(context) {
            return Poll::Ready(Ok(()));
        }
        self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER))).as_mut().poll(context).map(Ok)
    }

    /// Whether the other side may still talk to this one, which may have learnt its cluster after the handshake.
    fn cluster_still_agrees(&mut self) -> bool {
        let version = self.host.identity.version();
        if version != self.identity_version
            && clusters_agree(self.remote.cluster, self.host.identity.cluster())
        {
            self.identity_version = version;
        }
        version == self.identity_version
    }

    fn take(&mut self, tracked: TrackedRequest<Frame>) -> Result<(), Failure> {
        let TrackedRequest { request, span, .. } = tracked;
        let request_id = request.id;
        if self.running >= self.host.options.requests_in_flight_max {
            return self.respond(request_id, Answer::Refused(ErrorKind::Overloaded));
        }
        let begun = span.in_scope(|| begin(&self.host.handler, self.remote.role, request.message.0));
        let frame_bytes_max = self.host.options.frame_bytes_max;
        match begun {
            Begun::Finished(answer) => self.respond(request_id, bounded(answer, frame_bytes_max)),
            Begun::Waiting(handling) => {
                self.running += 1;
                let answers = self.answer.clone();
                self.host.lifecycle.handlers.spawn(async move {
                    let message = Ok(bounded(handling.await, frame_bytes_max));
                    // Nobody listens any more if the connection broke.
                    let _ = answers.send(Response { request_id, message });
                });
                Ok(())
            }
        }
    }

    fn respond(&mut self, request_id: u64, answer: Answer) -> Result<(), Failure> {
        Pin::new(&mut self.channel).start_send(Response { request_id, message: Ok(answer) })
    }
}

/// The answer as it may be sent: one that is too large would end the connection for all.
fn bounded(answer: Option<Bytes>, frame_bytes_max: usize) -> Answer {
    match answer {
        Some(answer) if answer.len() <= frame_bytes_max => Answer::Frame(answer),
        Some(_) => Answer::Refused(ErrorKind::FrameTooLarge),
        None => Answer::Refused(ErrorKind::Internal),
    }
}
