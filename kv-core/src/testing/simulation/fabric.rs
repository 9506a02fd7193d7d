use crate::error::ErrorKind;
use crate::testing::simulation::happening::{Happening, NodeEvent, Ticket};
use crate::testing::simulation::network::Network;
use crate::testing::simulation::plan::Plan;
use crate::testing::simulation::queue::Queue;
use crate::testing::simulation::random::Random;
use crate::testing::simulation::trace::Trace;
use crate::transport::CallError;
use crate::wire::{
    Answer, AnswerBody, Request, decode_answer, decode_request, encode_answer, encode_request,
};

/// What all nodes and clients share: time, chance, the network, and what is still to happen.
#[derive(Debug)]
pub(super) struct Fabric {
    pub(super) now_us: u64,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) queue: Queue<Happening>,
    pub(super) network: Network,
    pub(super) trace: Trace,
    /// The node of whose next own record a bit is to flip soon after.
    pub(super) flips_after_write: Option<usize>,
    /// Faults that happened so far, those of single messages and of storages not counted.
    pub(super) faults: u64,
    /// Messages that were lost or doubled.
    pub(super) message_faults: u64,
    /// Messages that their encoding did not bring back.
    pub(super) garbled: u64,
    /// Records that a node sent to an owner to repair it while the same was under way to it.
    pub(super) doubled_repairs: u64,
}

/// One message in so many travels as bytes.
const ENCODED_EVERY: u64 = 32;
/// How much later than the first the second copy of a message may be sent.
const COPY_LATE_US_MAX: u64 = 80_000;
/// Before one late copy in so many arrives, the receiver crashes.
const CRASH_BETWEEN_COPIES: u64 = 16;

impl Fabric {
    pub(super) fn plan_in(&mut self, delay_us: u64, happening: Happening) {
        self.queue.plan(self.now_us + delay_us, happening);
    }

    fn arrival(&mut self, from: usize, to: usize) -> Option<u64> {
        let arrival = self.network.arrival(self.now_us, from, to, &self.plan.rates, &mut self.random);
        self.message_faults += u64::from(arrival.is_none());
        arrival
    }

    /// Sends a request from a peer, which may be lost or doubled.
    pub(super) fn send_request(&mut self, from: usize, to: usize, ticket: Ticket, request: Request) {
        let request = Box::new(self.carry_request(request));
        let twice = self.random.chance(self.plan.rates.duplication);
        if twice {
            self.message_faults += 1;
            if let Some(at) = self.arrival(from, to) {
                // Some copies come so late that the receiver may have begun another life.
                let late_us = if self.random.below(4) == 0 { self.random.below(COPY_LATE_US_MAX) } else { 0 };
                let event = NodeEvent::Request { ticket, request: request.clone(), only_copy: false };
                self.queue.plan(at + late_us, Happening::Node(to, event));
                if late_us > 0 && self.plan.faults.crashes && self.random.below(CRASH_BETWEEN_COPIES) == 0 {
                    self.queue.plan(at + self.random.below(late_us), Happening::NodeCrashes(to));
                }
            }
        }
        if let Some(at) = self.arrival(from, to) {
            let event = NodeEvent::Request { ticket, request, only_copy: !twice };
            self.queue.plan(at + self.network.call_us(from, to), Happening::Node(to, event));
        }
    }

    /// Sends a client's request; a transport hands it over at most once.
    pub(super) fn send_client_request(&mut self, to: usize, ticket: Ticket, request: Request) {
        let request = Box::new(self.carry_request(request));
        if let Some(at) = self.arrival(self.network.clients(), to) {
            let event = NodeEvent::Request { ticket, request, only_copy: true };
            self.queue.plan(at, Happening::Node(to, event));
        }
    }

    /// Sends an answer to whoever waits for it.
    pub(super) fn send_answer(&mut self, from: usize, ticket: Ticket, answer: Answer) {
        let answer = self.carry_answer(answer);
        match ticket {
            Ticket::Client { client, operation } => {
                if let Some(at) = self.arrival(from, self.network.clients()) {
                    self.queue.plan(at, Happening::Reply(client, operation, Some(answer.body)));
                }
            }
            Ticket::Peer { node, life, call, .. } => {
                let answer = Box::new(answer);
                let again = self.random.chance(self.plan.rates.duplication);
                if again && let Some(at) = self.arrival(from, node) {
                    self.message_faults += 1;
                    let event = NodeEvent::Answer { life, call, result: Ok(answer.clone()), again };
                    self.queue.plan(at, Happening::Node(node, event));
                }
                if let Some(at) = self.arrival(from, node) {
                    let event = NodeEvent::Answer { life, call, result: Ok(answer), again };
                    self.queue.plan(at, Happening::Node(node, event));
                }
            }
        }
    }

    /// Tells whoever waits that the node is not there, as far as that can be known.
    pub(super) fn send_absence(&mut self, from: usize, ticket: Ticket, only_copy: bool) {
        match ticket {
            Ticket::Client { client, operation } => {
                if let Some(at) = self.arrival(from, self.network.clients()) {
                    self.queue.plan(at, Happening::Reply(client, operation, None));
                }
            }
            Ticket::Peer { node, life, call, .. } => {
                if self.random.coin() {
                    return;
                }
                let error = if only_copy {
                    CallError::NotSent(ErrorKind::ConnectionFailed, "the node is down".into())
                } else {
                    CallError::NoAnswer(ErrorKind::ConnectionLost, "the node went down".into())
                };
                if let Some(at) = self.arrival(from, node) {
                    let event = NodeEvent::Answer { life, call, result: Err(error), again: false };
                    self.queue.plan(at, Happening::Node(node, event));
                }
            }
        }
    }

    fn carry_request(&mut self, request: Request) -> Request {
        if self.random.below(ENCODED_EVERY) > 0 {
            return request;
        }
        match decode_request(&encode_request(&request)) {
            Ok(carried) if carried == request => carried,
            _ => {
                self.garbled += 1;
                request
            }
        }
    }

    fn carry_answer(&mut self, answer: Answer) -> Answer {
        if self.random.below(ENCODED_EVERY) > 0 {
            return answer;
        }
        match decode_answer(&encode_answer(&answer)) {
            Ok(carried) if carried == answer => carried,
            _ => {
                self.garbled += 1;
                answer
            }
        }
    }

    /// Takes what an answer to a client says into the trace.
    pub(super) fn note_reply(&mut self, client: usize, operation: u32, body: Option<&AnswerBody>) {
        let shape = match body {
            None => 1,
            Some(AnswerBody::Refused(error)) => 100 + error.kind() as u64,
            Some(AnswerBody::Get(Ok(answer))) => {
                for sibling in &answer.values {
                    self.trace.add(sibling.dot.actor.incarnation.0 ^ sibling.dot.counter);
                }
                2 + answer.values.len() as u64
            }
            Some(AnswerBody::Put(result)) => match result {
                crate::command::PutResult::Applied(applied) => applied.dot.map_or(3, |dot| dot.counter << 8),
                crate::command::PutResult::NotApplied(error) => 1_000 + error.kind() as u64,
                crate::command::PutResult::Indeterminate(error) => 2_000 + error.kind() as u64,
            },
            Some(_) => 4,
        };
        self.trace.add(shape << 32 | (client as u64) << 20 | u64::from(operation));
    }
}
