use std::collections::VecDeque;

use crate::machine::{CallToken, Effect, Event, Outcome, resolve, show};
use crate::replica::{Partitions, read, read_copies, read_range};
use crate::testing::simulation::fabric::Fabric;
use crate::testing::simulation::happening::{Happening, NodeEvent, PendingCall, Ticket};
use crate::testing::simulation::node::SimulatedNode;
use crate::wire::{AnswerBody, Request, RequestBody};

/// One read or merge in so many is carried out late, after other things.
const LATE_EVERY: u64 = 16;

impl SimulatedNode {
    /// Feeds the machine and carries out what it wants, until it wants nothing more.
    pub(super) fn run(&mut self, event: Event<Ticket>, fabric: &mut Fabric) {
        if self.step(fabric) {
            return;
        }
        let mut effects = Vec::new();
        self.feed(event, &mut effects, fabric);
        self.carry_out(effects, fabric);
    }

    fn feed(&mut self, event: Event<Ticket>, effects: &mut Vec<Effect<Ticket>>, fabric: &Fabric) {
        let now = self.now(fabric);
        if let Some(process) = &mut self.process {
            process.machine.handle(&self.view, now, event, effects);
        }
    }

    pub(super) fn carry_out(&mut self, effects: Vec<Effect<Ticket>>, fabric: &mut Fabric) {
        let mut effects = VecDeque::from(effects);
        let mut more = Vec::new();
        while let Some(effect) = effects.pop_front() {
            if self.step(fabric) {
                return;
            }
            match effect {
                effect @ (Effect::Read(_)
                | Effect::ReadRange(..)
                | Effect::List(..)
                | Effect::Resolve(_)
                | Effect::Show(_))
                    if fabric.random.below(LATE_EVERY) == 0 =>
                {
                    let delay_us = fabric.random.below(500);
                    self.postpone(effect, delay_us, fabric);
                }
                Effect::Read(reads) => {
                    let mut buffer = Vec::with_capacity(256);
                    for local in reads {
                        let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                        let answer = read(&self.view, &*self.disk, epochs, &local.item, &mut buffer);
                        self.feed(Event::Read(local.op, answer), &mut more, fabric);
                    }
                }
                Effect::Resolve(request) => {
                    let result = Box::new(resolve(&request));
                    self.feed(Event::Resolved(request.op, result), &mut more, fabric);
                }
                Effect::ReadRange(op, item) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    let answer = read_range(&self.view, &*self.disk, epochs, &item);
                    self.feed(Event::Range(op, answer), &mut more, fabric);
                }
                Effect::ReadCopies(after) => {
                    let page = read_copies(&*self.disk, after.as_deref());
                    self.feed(Event::Copies(page), &mut more, fabric);
                }
                Effect::ReadTrees(step, ids) => {
                    let Some(partitions) = self.partitions() else { return };
                    let ours = partitions.ours(&ids);
                    self.feed(Event::Trees(step, ours), &mut more, fabric);
                }
                Effect::ReadToClear(step) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    let items = epochs.to_clear(&self.view);
                    self.feed(Event::ToClear(step, items), &mut more, fabric);
                }
                Effect::Cleared(items) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    items.iter().for_each(|item| epochs.cleared(*item));
                }
                Effect::Heard(tree, theirs) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    epochs.heard(tree, theirs);
                }
                Effect::Met(meeting) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    epochs.met(&self.view, meeting);
                }
                Effect::List(step, item) => {
                    let Some(Partitions { epochs, .. }) = self.partitions() else { return };
                    let answer = read_range(&self.view, &*self.disk, epochs, &item);
                    self.feed(Event::Listed(step, answer), &mut more, fabric);
                }
                Effect::Show(request) => {
                    self.feed(Event::Shown(request.op, show(&request)), &mut more, fabric);
                }
                Effect::Call { peer, body, timeout_us, token, trace: _ } => {
                    let peer = peer.0 as usize - 1;
                    let now = self.now(fabric);
                    let life = self.life;
                    let Some(process) = &mut self.process else { return };
                    process.last_call += 1;
                    let call = process.last_call;
                    let repairs = repaired(&token, &body);
                    let under_way = |digest: &u64| {
                        let calls = process.calls.values().filter(|call| call.peer == peer && !call.answered);
                        calls.into_iter().any(|call| call.repairs.contains(digest))
                    };
                    fabric.doubled_repairs +=
                        repairs.iter().filter(|digest| under_way(digest)).count() as u64;
                    let sent_us = fabric.now_us;
                    process
                        .calls
                        .insert(call, PendingCall { peer, token, sent_us, repairs, answered: false });
                    let forwarded = matches!(body, RequestBody::Forward(_));
                    let header = process.door(&self.view, &*self.disk).header(now);
                    let ticket = Ticket::Peer { node: self.index, life, call, forwarded };
                    fabric.send_request(self.index, peer, ticket, Request { header, body });
                    let expires = NodeEvent::CallExpires { life, call };
                    fabric.plan_in(timeout_us, Happening::Node(self.index, expires));
                }
                Effect::Mutate(mutation) => self.queue_mutation(mutation, fabric),
                Effect::Moved(..) => {}
                Effect::Complete { ticket, outcome } => self.complete(ticket, outcome, fabric),
            }
            effects.extend(more.drain(..));
        }
    }

    fn postpone(&mut self, effect: Effect<Ticket>, delay_us: u64, fabric: &mut Fabric) {
        let event = NodeEvent::Late { life: self.life, effect: Box::new(effect) };
        fabric.plan_in(delay_us, Happening::Node(self.index, event));
    }

    fn complete(&mut self, ticket: Ticket, outcome: Outcome, fabric: &mut Fabric) {
        let forwarded = matches!(ticket, Ticket::Peer { forwarded: true, .. });
        self.answer(ticket, outcome.into_answer(forwarded), fabric);
    }

    pub(super) fn answer(&mut self, ticket: Ticket, body: AnswerBody, fabric: &mut Fabric) {
        let now = self.now(fabric);
        if let Some(process) = &self.process {
            let answer = process.door(&self.view, &*self.disk).answer(now, body);
            fabric.send_answer(self.index, ticket, answer);
        }
    }
}

/// What a request repairs for whose end no operation waits, and heals no damage with.
fn repaired(token: &CallToken, body: &RequestBody) -> Vec<u64> {
    match (token, body) {
        (CallToken::Repair(_), RequestBody::Write(items)) => {
            let repairs = items.iter().filter(|item| item.heal.is_none());
            repairs.map(|item| xxhash_rust::xxh3::xxh3_64(&item.record)).collect()
        }
        _ => Vec::new(),
    }
}
