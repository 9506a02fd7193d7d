use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{NodeId, TraceId};
use kv_core::machine::{CallToken, Effect, Event, PeerAnswer, resolve, show};
use kv_core::replica::{self, Minted, Mutation};
use kv_core::time::Now;
use kv_core::transport::{CallError, Sender};
use kv_core::wire::{
    AnswerBody, Header, RangeAnswer, RangeItem, Request, RequestBody, WriteAnswer, decode_answer,
    encode_request,
};
use smallvec::SmallVec;
use tokio::runtime::Handle;

use crate::node::live::Live;
use crate::node::shared::Shared;
use crate::node::spans;
use crate::node::ticket::Ticket;

/// Room for so many effects is kept.
const EFFECTS_KEPT: usize = 1_024;

std::thread_local! {
    static EFFECTS: Cell<Vec<Effect<Ticket>>> = const { Cell::new(Vec::new()) };
}

impl Shared {
    /// Feeds the machine an event and carries out what it wants, until it wants nothing more that can be done here and now.
    pub(super) fn drive(self: &Arc<Self>, live: &Arc<Live>, event: Event<Ticket>) {
        self.drive_at(self.now(), live, event);
    }

    /// The same for an event of this very moment.
    pub(super) fn drive_at(self: &Arc<Self>, mut now: Now, live: &Arc<Live>, event: Event<Ticket>) {
        let mut events: SmallVec<[Event<Ticket>; 2]> = SmallVec::new();
        events.push(event);
        // Kept by each thread: an operation is driven several times, and each time would take new room.
        let mut effects = EFFECTS.take();
        loop {
            {
                let mut machine = self.machine.lock();
                for event in events.drain(..) {
                    machine.handle(&live.view, now, event, &mut effects);
                }
            }
            for effect in effects.drain(..) {
                self.carry_out(live, effect, &mut events);
            }
            if events.is_empty() {
                break;
            }
            now = self.now();
        }
        effects.shrink_to(EFFECTS_KEPT);
        EFFECTS.set(effects);
        self.wake_timer();
    }

    fn carry_out(
        self: &Arc<Self>,
        live: &Arc<Live>,
        effect: Effect<Ticket>,
        events: &mut SmallVec<[Event<Ticket>; 2]>,
    ) {
        match effect {
            Effect::Read(reads) if self.config.store.capabilities().reads_may_block => {
                let (shared, live) = (self.clone(), live.clone());
                self.runtime.spawn_blocking(move || {
                    for read in reads {
                        let event = Event::Read(read.op, shared.read(&live, &read.item));
                        shared.drive(&live, event);
                    }
                });
            }
            Effect::Read(reads) => {
                events
                    .extend(reads.into_iter().map(|read| Event::Read(read.op, self.read(live, &read.item))));
            }
            Effect::Resolve(request) => {
                let result = unless_it_panics(|| resolve(&request));
                events.push(Event::Resolved(request.op, Box::new(result)));
            }
            Effect::ReadRange(op, item) if self.config.store.capabilities().reads_may_block => {
                let (shared, live) = (self.clone(), live.clone());
                self.runtime.spawn_blocking(move || {
                    let answer = shared.read_range(&live, &item);
                    shared.drive(&live, Event::Range(op, answer));
                });
            }
            Effect::ReadRange(op, item) => {
                let answer = self.read_range(live, &item);
                events.push(Event::Range(op, answer));
            }
            Effect::ReadCopies(after) => {
                let (shared, live) = (self.clone(), live.clone());
                // Nobody waits for it, and it may be a long way through the store.
                self.runtime.spawn_blocking(move || {
                    let page = replica::read_copies(&*shared.config.store, after.as_deref());
                    shared.drive(&live, Event::Copies(page));
                });
            }
            Effect::ReadTrees(step, ids) => {
                events.push(Event::Trees(step, self.partitions.ours(&ids)));
            }
            Effect::ReadToClear(step) => {
                events.push(Event::ToClear(step, self.partitions.epochs.to_clear(&live.view)));
            }
            Effect::Cleared(items) => items.iter().for_each(|item| self.partitions.epochs.cleared(*item)),
            Effect::Heard(tree, theirs) => self.partitions.epochs.heard(tree, theirs),
            Effect::Met(meeting) => self.partitions.epochs.met(&live.view, meeting),
            Effect::List(step, item) => {
                let (shared, live) = (self.clone(), live.clone());
                // Nobody waits for it.
                self.runtime.spawn_blocking(move || {
                    let answer = shared.read_range(&live, &item);
                    shared.drive(&live, Event::Listed(step, answer));
                });
            }
            Effect::Show(request) => {
                let result = unless_it_panics(|| show(&request));
                events.push(Event::Shown(request.op, result));
            }
            Effect::Call { peer, body, timeout_us, token, trace } => {
                self.call(live, (peer, trace), body, timeout_us, token)
            }
            Effect::Moved(peer, address) => {
                if !address.is_empty() && self.addresses.get(peer).is_none_or(|known| *known != *address) {
                    tracing::info!(node = peer.0, %address, "a member is reached at another address");
                    self.addresses.set(peer, address);
                }
            }
            Effect::Mutate(mutation) => {
                if let Err(refused) = self.queue.push(mutation) {
                    events.extend(refuse(refused));
                }
            }
            Effect::Complete { ticket, outcome } => ticket.complete(outcome),
        }
    }

    fn read(&self, live: &Live, item: &kv_core::wire::ReadItem) -> kv_core::wire::ReadAnswer {
        let (store, epochs) = (&*self.config.store, &self.partitions.epochs);
        replica::read(&live.view, store, epochs, item, &mut Vec::with_capacity(512))
    }

    fn read_range(&self, live: &Live, item: &RangeItem) -> RangeAnswer {
        replica::read_range(&live.view, &*self.config.store, &self.partitions.epochs, item)
    }

    /// Calls a peer in a task of its own and brings the answer to the machine.
    fn call(
        self: &Arc<Self>,
        live: &Arc<Live>,
        (peer, trace): (NodeId, TraceId),
        body: RequestBody,
        timeout_us: u64,
        token: CallToken,
    ) {
        let (shared, live) = (self.clone(), live.clone());
        let call = async move {
            let span = shared.tracer.call(trace, peer, &body);
            let begun = Instant::now();
            let result = shared.ask_within(&live, peer, body, Duration::from_micros(timeout_us), trace).await;
            span.end(|| outcome(&result));
            let took_us = begun.elapsed().as_micros() as u64;
            shared.drive(&live, Event::Answer { token, peer, took_us, result });
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(call)),
            Err(_) => drop(self.runtime.spawn(call)),
        }
    }

    /// Sends one request to a peer and brings back its answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        live: &Arc<Live>,
        peer: NodeId,
        body: RequestBody,
        deadline: Duration,
    ) -> Result<PeerAnswer, CallError> {
        self.ask_within(live, peer, body, deadline, TraceId::NONE).await
    }

    /// The same as a part of `trace`.
    async fn ask_within(
        self: &Arc<Self>,
        live: &Arc<Live>,
        peer: NodeId,
        body: RequestBody,
        deadline: Duration,
        trace: TraceId,
    ) -> Result<PeerAnswer, CallError> {
        let is_apart = matches!(body, RequestBody::Gossip(_));
        let header = Header { trace, ..self.door(live).header(self.now()) };
        let frame = encode_request(&Request { header, body });
        let sent = frame.len();
        let result = if is_apart {
            self.transport.call_apart(peer, frame, deadline).await
        } else {
            self.transport.call(peer, frame, deadline).await
        };
        self.peer_states.note(peer, sent, &result);
        let answer = decode_answer(&result?)
            .map_err(|error| CallError::NoAnswer(error.kind(), error.message().to_string()))?;
        self.door(live).hear(Sender::Peer(peer), &answer.header, self.now());
        self.compare_tables(live, peer, answer.header.buckets);
        Ok(PeerAnswer { incarnation: answer.header.incarnation, body: answer.body })
    }
}

/// A resolver is somebody else's code: if it panics, the operation fails and nothing else does.
fn unless_it_panics<R>(resolve: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(resolve))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the bucket's resolver panicked")))
}

/// How a call ended.
fn outcome(result: &Result<PeerAnswer, CallError>) -> &'static str {
    match result {
        Ok(answer) => spans::of_answer(&answer.body),
        Err(error) => error.kind().name(),
    }
}

/// What a mutation that found the queue full comes to.
pub(super) fn refuse(mutation: Mutation<Ticket>) -> Option<Event<Ticket>> {
    let overloaded = || {
        Error::new(
            ErrorKind::Overloaded,
            "this node's write queue is full: try again later, or through another node",
        )
    };
    match mutation {
        Mutation::Mint(mint) => Some(Event::Minted(vec![Minted { op: mint.op, result: Err(overloaded()) }])),
        Mutation::Merge(group) => {
            if let Some(ticket) = group.reply {
                let answers = vec![WriteAnswer::Refused(ErrorKind::Overloaded); group.items.len()];
                ticket.answer(AnswerBody::Write(answers));
            }
            None
        }
        // They are delivered, or asked for, again.
        Mutation::Release(_)
        | Mutation::Turn
        | Mutation::Checkpoint { .. }
        | Mutation::Count { reply: None, .. } => None,
        Mutation::Count { reply: Some(reply), .. } | Mutation::Promise { reply, .. } => {
            reply.answer(AnswerBody::Refused(overloaded()));
            None
        }
        Mutation::Meta { reply, .. } | Mutation::Remove { reply, .. } => {
            reply.answer(AnswerBody::Write(vec![WriteAnswer::Refused(ErrorKind::Overloaded)]));
            None
        }
    }
}
