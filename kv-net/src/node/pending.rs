use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kv_core::command::PutResult;
use kv_core::error::{Error, ErrorKind};
use kv_core::machine::Outcome;
use tokio::sync::oneshot;

use crate::node::spans::{self, Timed};

/// A put that was begun ([`Node::begin_put`](crate::Node::begin_put)): awaiting it brings its result, dropping it changes nothing.
#[derive(Debug)]
#[must_use = "what became of the put is known only to whoever awaits it"]
pub struct PendingPut {
    span: Timed,
    state: State,
}

#[derive(Debug)]
enum State {
    Waits(oneshot::Receiver<Outcome>),
    /// What was refused before it became an operation; none once it was told.
    Refused(Option<Box<PutResult>>),
}

impl PendingPut {
    pub(super) fn waits(span: Timed, outcome: oneshot::Receiver<Outcome>) -> Self {
        PendingPut { span, state: State::Waits(outcome) }
    }

    pub(super) fn refused(span: Timed, result: PutResult) -> Self {
        PendingPut { span, state: State::Refused(Some(Box::new(result))) }
    }
}

impl Future for PendingPut {
    type Output = PutResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<PutResult> {
        let lost = || PutResult::Indeterminate(internal());
        let result = match &mut self.state {
            State::Waits(outcome) => match ready!(Pin::new(outcome).poll(context)) {
                Ok(Outcome::Put(result)) => result,
                _ => lost(),
            },
            State::Refused(result) => result.take().map_or_else(lost, |result| *result),
        };
        self.span.take().end(|| spans::of_put(&result));
        Poll::Ready(result)
    }
}

/// What whoever waits is told if nobody is left to answer.
pub(super) fn internal() -> Error {
    Error::new(ErrorKind::Internal, "the node stopped before it answered")
}
