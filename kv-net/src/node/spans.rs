use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kv_core::command::{GetAnswer, PutResult};
use kv_core::error::Error;
use kv_core::ids::{NodeId, TraceId};
use kv_core::wire::{AnswerBody, RequestBody};
use tracing::Span;

/// What spans are filtered by, wherever this file lies.
const TARGET: &str = "kv_net::spans";

/// Begins the spans of what is followed. A client's operation is followed if this node draws it; what peers ask for, if they say so.
#[derive(Debug)]
pub(super) struct Tracer {
    node: NodeId,
    /// Of all draws those up to this one; 0 for none.
    drawn_max: u64,
    operations: AtomicU64,
}

/// A span under way, or nothing. It is told as one event when it ends.
#[derive(Debug)]
pub(super) struct Timed(Option<Box<Begun>>);

#[derive(Debug)]
struct Begun {
    trace: TraceId,
    span: Span,
    begun: Instant,
}

/// One span of a trace: its name, the trace and the node are the same for all.
macro_rules! timed {
    ($name:literal, $trace:expr, $node:expr, $($field:tt)*) => {
        Timed(Some(Box::new(Begun {
            trace: $trace,
            span: tracing::info_span!(target: TARGET, parent: None, $name, trace = %$trace, node = $node.0, $($field)*),
            begun: Instant::now(),
        })))
    };
}

impl Tracer {
    /// Follows about that share of the operations of clients, from 0 for none to 1 for all.
    pub(super) fn new(node: NodeId, sample: f64) -> Self {
        // From 1 on this is the largest number there is.
        let drawn_max = (sample * u64::MAX as f64) as u64;
        Tracer { node, drawn_max, operations: AtomicU64::new(0) }
    }

    /// Begins the operation of a client at its coordinator, if it is drawn.
    pub(super) fn operation(&self, kind: &'static str, bucket: &str) -> Timed {
        if self.drawn_max == 0 {
            return Timed(None);
        }
        self.draw(kind, bucket)
    }

    /// The same for a request that came over the transport.
    pub(super) fn request(&self, body: &RequestBody) -> Timed {
        if self.drawn_max == 0 {
            return Timed(None);
        }
        match body {
            RequestBody::Get(get) => self.draw("get", &get.bucket),
            RequestBody::Put(put) => self.draw("put", &put.bucket),
            RequestBody::GetMany(many) => self.draw("get_many", &many.bucket),
            RequestBody::PutMany(many) => self.draw("put_many", &many.bucket),
            RequestBody::Scan(scan) => self.draw("scan", &scan.bucket),
            _ => Timed(None),
        }
    }

    #[cold]
    fn draw(&self, kind: &'static str, bucket: &str) -> Timed {
        let draw = rand::random::<u64>().max(1);
        if draw > self.drawn_max {
            return Timed(None);
        }
        let operation = self.operations.fetch_add(1, Ordering::Relaxed) + 1;
        // The draw says whether, so it cannot say which as well: those of a small share would all begin with zeros.
        let trace = TraceId(rand::random::<u64>().max(1));
        timed!("operation", trace, self.node, operation, kind, bucket)
    }

    /// Begins a call to a peer.
    pub(super) fn call(&self, trace: TraceId, peer: NodeId, body: &RequestBody) -> Timed {
        if trace == TraceId::NONE {
            return Timed(None);
        }
        let (kind, keys) = described(body);
        timed!("call", trace, self.node, peer = peer.0, kind, keys)
    }

    /// Begins what a peer asked for.
    pub(super) fn serve(&self, trace: TraceId, peer: NodeId, body: &RequestBody) -> Timed {
        if trace == TraceId::NONE {
            return Timed(None);
        }
        let (kind, keys) = described(body);
        timed!("serve", trace, self.node, peer = peer.0, kind, keys)
    }
}

impl Timed {
    /// What the span belongs to.
    pub(super) fn trace(&self) -> TraceId {
        self.0.as_ref().map_or(TraceId::NONE, |begun| begun.trace)
    }

    /// Takes the span out of its place.
    pub(super) fn take(&mut self) -> Self {
        Timed(self.0.take())
    }

    /// Ends the span and tells it.
    pub(super) fn end(self, outcome: impl FnOnce() -> &'static str) {
        if let Some(begun) = self.0 {
            let duration_us = begun.begun.elapsed().as_micros() as u64;
            tracing::info!(target: TARGET, parent: &begun.span, outcome = outcome(), duration_us, "span");
        }
    }
}

/// What a request to a peer asks, and about how many keys.
fn described(body: &RequestBody) -> (&'static str, usize) {
    match body {
        RequestBody::Read(items) => ("read", items.len()),
        RequestBody::Write(items) => ("write", items.len()),
        RequestBody::Forward(_) => ("forward", 1),
        RequestBody::ReadRange(_) => ("read_range", 1),
        _ => ("other", 0),
    }
}

/// How a get ended: `answered`, or the kind of its error.
pub(super) fn of_get<A>(result: &Result<A, Error>) -> &'static str {
    result.as_ref().map_or_else(|error| error.kind().name(), |_| "answered")
}

/// How a put ended.
pub(super) fn of_put(result: &PutResult) -> &'static str {
    match result {
        PutResult::Applied(_) => "applied",
        PutResult::NotApplied(_) => "not_applied",
        PutResult::Indeterminate(_) => "indeterminate",
    }
}

/// How a request ended, by its answer. What has many keys is answered; each of them may have failed.
pub(super) fn of_answer(body: &AnswerBody) -> &'static str {
    match body {
        AnswerBody::Refused(error) => error.kind().name(),
        AnswerBody::Get(result) => of_get::<GetAnswer>(result),
        AnswerBody::Scan(result) => of_get(result),
        AnswerBody::Put(result) => of_put(result),
        AnswerBody::Forward(answer) => of_put(&answer.result),
        _ => "answered",
    }
}
