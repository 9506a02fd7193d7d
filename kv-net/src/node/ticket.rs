use kv_core::machine::Outcome;
use kv_core::wire::AnswerBody;
use tokio::sync::oneshot;

/// Who waits for an outcome.
#[derive(Debug)]
pub(super) enum Ticket {
    /// A call in this process.
    Local(oneshot::Sender<Outcome>),
    /// A request that came over the transport.
    Frame(oneshot::Sender<AnswerBody>),
    /// A put that a peer handed over.
    Forwarded(oneshot::Sender<AnswerBody>),
}

impl Ticket {
    /// Tells whoever waits; nobody minds if they have stopped waiting.
    pub(super) fn complete(self, outcome: Outcome) {
        match self {
            Ticket::Local(waiter) => drop(waiter.send(outcome)),
            Ticket::Frame(waiter) => drop(waiter.send(outcome.into_answer(false))),
            Ticket::Forwarded(waiter) => drop(waiter.send(outcome.into_answer(true))),
        }
    }

    /// Answers a request that never became an operation.
    pub(super) fn answer(self, body: AnswerBody) {
        match self {
            Ticket::Frame(waiter) | Ticket::Forwarded(waiter) => drop(waiter.send(body)),
            Ticket::Local(_) => {}
        }
    }
}
