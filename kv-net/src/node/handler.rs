use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::causality::Stamp;
use kv_core::command::PutResult;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{ClusterId, Incarnation, TraceId};
use kv_core::machine::Admitted;
use kv_core::transport::{FrameHandler, Sender};
use kv_core::wire::{
    Answer, AnswerBody, ForwardAnswer, Header, Request, RequestBody, WriteAnswer, decode_request,
    encode_answer,
};
use tokio::sync::oneshot;

use crate::node::drive::refuse;
use crate::node::live::Live;
use crate::node::shared::Shared;
use crate::node::spans;
use crate::node::ticket::Ticket;

/// Takes the frames that arrive for a node. The transport has it, and the node has the transport: so it does not keep the node.
#[derive(Debug)]
pub(super) struct NodeHandler(pub(super) Weak<Shared>);

#[async_trait]
impl FrameHandler for NodeHandler {
    async fn handle(&self, sender: Sender, frame: Bytes) -> Bytes {
        let Some(shared) = self.0.upgrade() else { return gone() };
        let (body, lost) = match decode_request(&frame) {
            Ok(request) => {
                let lost = Lost::of(&request.body);
                (shared.serve_traced(sender, request).await, lost)
            }
            Err(error) => {
                shared.refusals.note(error.kind());
                (AnswerBody::Refused(error), Lost::Other)
            }
        };
        let answer = encode_answer(&Answer { header: shared.header(), body });
        if answer.len() <= shared.config.limits.frame_bytes_max {
            return answer;
        }
        let message = format!(
            "the answer has {} bytes, a frame at most {}: ask for fewer keys",
            answer.len(),
            shared.config.limits.frame_bytes_max
        );
        // What was written was written, although its answer cannot be sent.
        let body = lost.answer(&Error::new(ErrorKind::FrameTooLarge, message));
        encode_answer(&Answer { header: shared.header(), body })
    }
}

/// The answer for a node that was dropped.
fn gone() -> Bytes {
    let header = Header {
        cluster: ClusterId(0),
        layout: 0,
        incarnation: Incarnation(0),
        clock: Stamp::default(),
        buckets: 0,
        trace: TraceId::NONE,
    };
    let error = Error::new(ErrorKind::ShuttingDown, "this node was shut down: use another");
    encode_answer(&Answer { header, body: AnswerBody::Refused(error) })
}

impl Shared {
    fn header(&self) -> Header {
        match self.live.load().as_ref() {
            Some(live) => self.door(live).header(self.now()),
            None => Header {
                cluster: ClusterId(0),
                layout: 0,
                incarnation: self.incarnation(),
                clock: self.clock.read(self.now().wall_ms),
                buckets: 0,
                trace: TraceId::NONE,
            },
        }
    }

    /// Serves a request, which belongs to what its peer follows, or to what this node begins to follow for a client.
    async fn serve_traced(self: &Arc<Self>, sender: Sender, mut request: Request) -> AnswerBody {
        let span = match sender {
            Sender::Peer(peer) => self.tracer.serve(request.header.trace, peer, &request.body),
            Sender::Client => self.tracer.request(&request.body),
        };
        request.header.trace = span.trace();
        let answer = self.serve(sender, request).await;
        span.end(|| spans::of_answer(&answer));
        answer
    }

    async fn serve(self: &Arc<Self>, sender: Sender, request: Request) -> AnswerBody {
        if let RequestBody::Join(..) | RequestBody::Cluster | RequestBody::Status | RequestBody::Init =
            request.body
        {
            return self.administer(sender, request.body).await;
        }
        let operation = !matches!(
            request.body,
            RequestBody::Read(_)
                | RequestBody::ReadRange(_)
                | RequestBody::Write(_)
                | RequestBody::MergeBuckets(_)
                | RequestBody::Gossip(_)
                | RequestBody::Clear(_)
                | RequestBody::Compare(_)
        );
        let lost = Lost::of(&request.body);
        let open = if operation { self.open_for_operations() } else { self.open() };
        let live = match self.refusals.noted(open) {
            Ok(live) => live,
            Err(error) => return AnswerBody::Refused(error),
        };
        if let Sender::Peer(peer) = sender {
            self.compare_tables(&live, peer, request.header.buckets);
        }
        if self.config.store.capabilities().reads_may_block {
            let (shared, seen) = (self.clone(), live.clone());
            let admitted = tokio::task::spawn_blocking(move || shared.admit(&seen, sender, request)).await;
            return match admitted {
                Ok((admitted, answer)) => self.finish(&live, sender, admitted, answer, lost).await,
                Err(_) => AnswerBody::Refused(Error::new(ErrorKind::Internal, "the request's task panicked")),
            };
        }
        let (admitted, answer) = self.admit(&live, sender, request);
        self.finish(&live, sender, admitted, answer, lost).await
    }

    fn admit(
        self: &Arc<Self>,
        live: &Live,
        sender: Sender,
        request: Request,
    ) -> (Admitted<Ticket>, oneshot::Receiver<AnswerBody>) {
        let (waiter, answer) = oneshot::channel();
        let ticket = match request.body {
            RequestBody::Forward(_) => Ticket::Forwarded(waiter),
            _ => Ticket::Frame(waiter),
        };
        let begun = matches!(request.body, RequestBody::Get(_)).then(|| self.local_gets.begin());
        let admitted = self.door(live).admit(self.now(), sender, request, ticket);
        match (&admitted, begun) {
            (Admitted::Answered(_, AnswerBody::Get(Ok(answered))), Some(begun)) => {
                self.local_gets.served(begun, answered.values.len());
            }
            (Admitted::Answered(_, body), _) => self.refusals.note_answer(body),
            _ => {}
        }
        (admitted, answer)
    }

    async fn finish(
        self: &Arc<Self>,
        live: &Arc<Live>,
        sender: Sender,
        admitted: Admitted<Ticket>,
        answer: oneshot::Receiver<AnswerBody>,
        lost: Lost,
    ) -> AnswerBody {
        match admitted {
            Admitted::Answered(_, body) => return body,
            Admitted::Administer(_, body) => return self.administer(sender, body).await,
            Admitted::Run(event) => self.drive(live, event),
            Admitted::Noted(_, event) => {
                self.drive(live, event);
                return AnswerBody::Done;
            }
            Admitted::Mutate(mutation) => {
                if let Err(refused) = self.queue.push(mutation) {
                    self.refusals.note(ErrorKind::Overloaded);
                    // Its answer comes the way every other does.
                    let _ = refuse(refused);
                }
            }
        }
        answer.await.unwrap_or_else(|_| {
            let message = "the node stopped while the request was under way";
            lost.answer(&Error::new(ErrorKind::CommitUnknown, message))
        })
    }
}

/// What is answered if the answer is lost, because the node stopped meanwhile or it is too large: nothing that could have been done is
/// called undone.
#[derive(Debug, Clone, Copy)]
enum Lost {
    Forward,
    Put,
    PutMany(usize),
    Write(usize),
    Other,
}

impl Lost {
    fn of(body: &RequestBody) -> Self {
        match body {
            RequestBody::Forward(_) => Lost::Forward,
            RequestBody::Put(_) => Lost::Put,
            RequestBody::PutMany(command) => Lost::PutMany(command.puts.len()),
            RequestBody::Write(items) => Lost::Write(items.len()),
            _ => Lost::Other,
        }
    }

    fn answer(self, error: &Error) -> AnswerBody {
        let indeterminate = || PutResult::Indeterminate(error.clone());
        match self {
            Lost::Forward => AnswerBody::Forward(ForwardAnswer { result: indeterminate() }),
            Lost::Put => AnswerBody::Put(indeterminate()),
            Lost::PutMany(keys) => AnswerBody::PutMany((0..keys).map(|_| indeterminate()).collect()),
            Lost::Write(items) => AnswerBody::Write(vec![WriteAnswer::Unknown; items]),
            Lost::Other => AnswerBody::Refused(error.clone()),
        }
    }
}
