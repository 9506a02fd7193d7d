mod answers;
mod background;
mod endings;
mod gossip;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::command::PutResult;
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Incarnation, NodeId, OpId};
use crate::key::Key;
use crate::limits::Limits;
use crate::machine::anti_entropy::AntiEntropy;
use crate::machine::delivery::Delivery;
use crate::machine::forwards::Forwards;
use crate::machine::get::GetWork;
use crate::machine::many::{Asker, Many};
use crate::machine::operation::{Next, Operation, Waiter, Work};
use crate::machine::outbox::Outbox;
use crate::machine::put::PutWork;
use crate::machine::repairs::Repairs;
use crate::machine::scan::{ScanStep, ScanWork};
use crate::machine::stats::MachineStats;
use crate::machine::step::Step;
use crate::machine::timers::Timers;
use crate::machine::{CallToken, Effect, Event, Health, Outcome, PreparedGet, PreparedPut, PreparedScan};
use crate::membership::{Membership, PeerIdentity};
use crate::mutants::{self, Mutant};
use crate::time::Now;
use crate::view::View;
use crate::wire::{Forward, RequestBody};

/// Most keys whose damage waits to be healed at a time.
const HEALS_MAX: usize = 1_024;

/// Coordinates the operations of one node. Fed with [`Event`]s, it hands back [`Effect`]s; it does nothing by itself.
///
/// `T` names whoever waits for an outcome; the machine only hands it back.
#[derive(Debug)]
pub struct NodeMachine<T> {
    operations: BTreeMap<OpId, Box<Operation<T>>>,
    manies: BTreeMap<u64, Many<T>>,
    timers: Timers,
    last_op: u64,
    last_many: u64,
    last_forward: u64,
    /// Operations whose client still waits.
    waiting: usize,
    forwards: Forwards,
    /// The puts that were handed to owners and are not settled.
    forwarding: BTreeMap<u64, (OpId, Incarnation)>,
    /// The keys whose damage waits to be healed.
    healing: BTreeSet<(BucketId, Key)>,
    health: Arc<Health>,
    membership: Membership,
    delivery: Delivery,
    anti_entropy: AntiEntropy,
    repairs: Repairs,
    /// When slow peers are forgiven again.
    forgive_at_us: u64,
    limits: Limits,
    life: Incarnation,
    stats: MachineStats,
}

/// What tells one process of a node from all others of it.
#[derive(Debug, Clone)]
pub struct Life {
    /// Any number that no other process of the node had.
    pub process: Incarnation,
    /// How the others know it.
    pub identity: PeerIdentity,
    /// Decides whom it probes when.
    pub seed: u64,
}

impl<T> NodeMachine<T> {
    /// A machine with nothing under way.
    pub fn new(limits: Limits, life: Life) -> Self {
        NodeMachine {
            operations: BTreeMap::new(),
            manies: BTreeMap::new(),
            timers: Timers::default(),
            last_op: 0,
            last_many: 0,
            last_forward: 0,
            waiting: 0,
            forwards: Forwards::default(),
            forwarding: BTreeMap::new(),
            healing: BTreeSet::new(),
            health: Arc::default(),
            membership: Membership::new(life.identity, &limits, life.seed),
            delivery: Delivery::new(),
            anti_entropy: AntiEntropy::new(life.seed),
            repairs: Repairs::default(),
            forgive_at_us: 0,
            limits,
            life: life.process,
            stats: MachineStats::default(),
        }
    }

    /// Operations whose clients wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What the machine did so far.
    pub fn stats(&self) -> &MachineStats {
        &self.stats
    }

    /// When the machine wants the next [`Event::Tick`], on the monotonic clock.
    pub fn next_wakeup_us(&self) -> u64 {
        let background =
            self.membership.next_wakeup_us().min(self.delivery.next_us()).min(self.anti_entropy.next_us());
        self.timers.next_us().map_or(background, |timer| timer.min(background))
    }

    /// What the machine knows of the node's peers.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Takes one event and appends what is to be done to `effects`.
    pub fn handle(&mut self, view: &View, now: Now, event: Event<T>, effects: &mut Vec<Effect<T>>) {
        if let Event::Answer { token, peer, took_us, result } = &event {
            self.note_answer(*peer, token, *took_us, result);
        }
        let (health, repairs) = (Arc::clone(&self.health), std::mem::take(&mut self.repairs));
        let mut outbox = Outbox::new(effects, health, repairs, self.limits.frame_bytes_max / 2);
        let at = (view, now);
        match event {
            Event::Get(ticket, get) => self.begin_get(at, Waiter::Ticket(ticket), Ok(get), &mut outbox),
            Event::Put(ticket, put) => self.begin_put(at, Waiter::Ticket(ticket), Ok(put), &mut outbox),
            Event::GetMany(ticket, gets) => self.get_many(at, Asker::Ticket(ticket), gets, &mut outbox),
            Event::PutMany(ticket, puts) => self.put_many(at, ticket, puts, &mut outbox),
            Event::Scan(ticket, scan) => self.begin_scan(at, ticket, scan, &mut outbox),
            Event::Forwarded { ticket, from: (node, incarnation), id, floor, put } => {
                // A repeated request is not answered: the first one is, and its answer is the true one.
                let fresh = self.forwards.admit(node, incarnation, id, floor);
                if fresh || mutants::on(Mutant::ForwardRunsTwice) {
                    self.begin_put(at, Waiter::Ticket(ticket), put, &mut outbox);
                }
            }
            Event::Read((op, index), answer) => self.with(at, op, &mut outbox, |operation, step, outbox| {
                operation.read_answer(step, index, Ok(answer), outbox)
            }),
            Event::Resolved(op, result) => {
                self.with(at, op, &mut outbox, |operation, step, outbox| match &mut operation.work {
                    Work::Get(get) => Next::from(get.resolved(step, *result, outbox)),
                    Work::Put(put) => Next::from(put.resolved(step, *result, outbox)),
                    Work::Scan(_) => Next::Wait,
                })
            }
            Event::Range((op, index), answer) => {
                self.with_scan(at, op, &mut outbox, |scan, step, outbox| {
                    scan.answer(step, index, answer, outbox)
                });
            }
            Event::Shown(op, result) => {
                self.with_scan(at, op, &mut outbox, |scan, _, _| scan.shown(result));
            }
            Event::Minted(minted) => {
                for minted in minted {
                    self.with_put(at, minted.op, &mut outbox, |put, step, outbox| {
                        put.minted(step, minted.result, outbox)
                    });
                }
            }
            Event::Committed(ops, incarnation, result) => {
                let result = result.map(|durability| (incarnation, durability)).map_err(|error| error.kind());
                for op in ops {
                    self.with(at, op, &mut outbox, |operation, step, outbox| {
                        operation.committed(step, result, outbox)
                    });
                }
            }
            Event::Refused(ops) => {
                for (op, kind) in ops {
                    self.with(at, op, &mut outbox, |operation, step, outbox| {
                        operation.committed(step, Err(kind), outbox)
                    });
                }
            }
            Event::Answer { token, result, .. } => self.answer(at, token, result, &mut outbox),
            Event::Copies(page) => self.delivery.copies(at, page, &mut outbox),
            Event::ToClear(step, items) => self.anti_entropy.begin_clearing(at, (step, items), &mut outbox),
            Event::Turned { has_work, recovers } => self.anti_entropy.turned(now, has_work, recovers),
            Event::Trees(step, trees) => self.anti_entropy.trees(at, (step, trees), &mut outbox),
            Event::Listed(step, answer) => self.listed(at, step, answer, &mut outbox),
            Event::Repair(ticket) => self.start_repair(ticket, at, &mut outbox),
            Event::Gossip(packet) => self.gossip(now, &packet, &mut outbox),
            Event::Leave => self.leave(now, &mut outbox),
            Event::Tick => {
                self.tick(at, &mut outbox);
                self.tick_gossip(at, &mut outbox);
                self.delivery.tick(now, &mut outbox);
                self.anti_entropy.tick(at, &mut outbox);
            }
        }
        self.stats.repairs += outbox.repairs_sent();
        self.stats.damages_seen += outbox.damages_seen();
        self.stats.copies_delivered = self.delivery.delivered;
        self.stats.copies_stale = self.delivery.stale;
        self.stats.copies_damaged = self.delivery.damaged;
        let (missed, repairs) = outbox.flush();
        self.stats.repairs_left_out = repairs.left_out;
        self.repairs = repairs;
        self.note_missed(&missed);
    }

    fn begin_get(
        &mut self,
        at: (&View, Now),
        waiter: Waiter<T>,
        get: Result<PreparedGet, Error>,
        outbox: &mut Outbox<'_, T>,
    ) {
        let get = match get.and_then(|get| self.admit().map(|()| get)) {
            Ok(get) => get,
            Err(error) => return self.end_get(at, waiter, Err(error), outbox),
        };
        let deadline_us = at.1.monotonic_us + get.timeout_us;
        let op = self.insert(at.1, waiter, Work::Get(GetWork::new(get)), deadline_us);
        self.with(at, op, outbox, |operation, step, outbox| {
            if let Work::Get(get) = &mut operation.work {
                get.begin(step, outbox);
            }
            Next::Wait
        });
    }

    fn begin_put(
        &mut self,
        at: (&View, Now),
        waiter: Waiter<T>,
        put: Result<PreparedPut, Error>,
        outbox: &mut Outbox<'_, T>,
    ) {
        let put = match put.and_then(|put| self.admit().map(|()| put)) {
            Ok(put) => put,
            Err(error) => return self.end_put(at, waiter, PutResult::NotApplied(error), outbox),
        };
        let deadline_us = put.deadline_us;
        let op = self.insert(at.1, waiter, Work::Put(PutWork::new(put)), deadline_us);
        self.with_put(at, op, outbox, |put, step, outbox| put.begin(step, outbox));
    }

    fn begin_scan(&mut self, at: (&View, Now), ticket: T, scan: PreparedScan, outbox: &mut Outbox<'_, T>) {
        if let Err(error) = self.admit() {
            return self.end_scan(ticket, Err(error), outbox);
        }
        let deadline_us = at.1.monotonic_us + scan.timeout_us;
        let op =
            self.insert(at.1, Waiter::Ticket(ticket), Work::Scan(Box::new(ScanWork::new(scan))), deadline_us);
        self.with_scan(at, op, outbox, |scan, step, outbox| {
            scan.begin(step, outbox);
            ScanStep::Wait
        });
    }

    fn admit(&mut self) -> Result<(), Error> {
        if self.waiting < self.limits.operations_max {
            return Ok(());
        }
        self.stats.shed += 1;
        Err(Error::new(
            ErrorKind::Overloaded,
            format!(
                "{} operations are under way at this node, the most allowed: try again later",
                self.waiting
            ),
        ))
    }

    fn insert(&mut self, now: Now, waiter: Waiter<T>, work: Work, deadline_us: u64) -> OpId {
        self.last_op += 1;
        let op = OpId(self.last_op);
        let hedge_us = now.monotonic_us + self.limits.hedge_delay_ms * 1_000;
        self.timers.add(deadline_us, op);
        let hedges = match &work {
            Work::Get(_) | Work::Scan(_) => true,
            Work::Put(put) => put.reads(),
        };
        if hedges && hedge_us < deadline_us {
            self.timers.add(hedge_us, op);
        }
        self.waiting += 1;
        let (waiter, begun_us) = (Some(waiter), now.monotonic_us);
        let operation = Operation { waiter, work, begun_us, deadline_us, forward: None, heals: false };
        self.operations.insert(op, Box::new(operation));
        op
    }

    /// Lets an operation take a step and does what the step comes to. Events of operations that ended are late and mean nothing.
    fn with(
        &mut self,
        (view, now): (&View, Now),
        op: OpId,
        outbox: &mut Outbox<'_, T>,
        step: impl FnOnce(&mut Operation<T>, Step<'_>, &mut Outbox<'_, T>) -> Next,
    ) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        let context = Step { view, now, op, deadline_us: operation.deadline_us };
        outbox.trace = operation.trace();
        match step(operation, context, outbox) {
            Next::Wait => {}
            Next::Forward(owner) => return self.forward(context, owner, outbox),
            Next::EndGet(result) => {
                if let Some(waiter) = operation.waiter.take() {
                    self.waiting -= 1;
                    let took_us = now.monotonic_us.saturating_sub(operation.begun_us);
                    if !self.is_internal(&waiter) {
                        self.stats.get_us.observe(took_us);
                    }
                    self.end_get((view, now), waiter, result, outbox);
                }
            }
            Next::EndPut(result) => {
                let waiter = operation.waiter.take();
                self.stats.put_us.observe(now.monotonic_us.saturating_sub(operation.begun_us));
                self.remove(op);
                if let Some(waiter) = waiter {
                    self.waiting -= 1;
                    self.end_put((view, now), waiter, result, outbox);
                }
                return;
            }
            Next::GetForScan(gets) => return self.get_many((view, now), Asker::Scan(op), gets, outbox),
            Next::EndScan(result) => {
                let waiter = operation.waiter.take();
                self.stats.scan_us.observe(now.monotonic_us.saturating_sub(operation.begun_us));
                self.remove(op);
                if let Some(Waiter::Ticket(ticket)) = waiter {
                    self.waiting -= 1;
                    self.end_scan(ticket, result, outbox);
                }
                return;
            }
        }
        let Some(operation) = self.operations.get_mut(&op) else { return };
        if operation.is_done() {
            self.remove(op);
        } else if operation.is_settling() && !operation.heals {
            let Some(target) = operation.target() else { return };
            let key = (target.bucket.id, target.key.clone());
            if self.healing.len() >= HEALS_MAX || !self.healing.insert(key) {
                // Another operation heals this key already, or enough do; a later read sees the damage again.
                self.operations.remove(&op);
                return;
            }
            let at_us = now.monotonic_us + self.limits.deadline_ms_max * 1_000;
            operation.heals = true;
            operation.deadline_us = at_us;
            self.timers.add(at_us, op);
        }
    }

    fn with_put(
        &mut self,
        at: (&View, Now),
        op: OpId,
        outbox: &mut Outbox<'_, T>,
        step: impl FnOnce(&mut PutWork, Step<'_>, &mut Outbox<'_, T>) -> crate::machine::put::PutStep,
    ) {
        self.with(at, op, outbox, |operation, context, outbox| match &mut operation.work {
            Work::Put(put) => Next::from(step(put, context, outbox)),
            Work::Get(_) | Work::Scan(_) => Next::Wait,
        });
    }

    fn with_scan(
        &mut self,
        at: (&View, Now),
        op: OpId,
        outbox: &mut Outbox<'_, T>,
        step: impl FnOnce(&mut ScanWork, Step<'_>, &mut Outbox<'_, T>) -> ScanStep,
    ) {
        self.with(at, op, outbox, |operation, context, outbox| match &mut operation.work {
            Work::Scan(scan) => Next::from(step(scan, context, outbox)),
            Work::Get(_) | Work::Put(_) => Next::Wait,
        });
    }

    fn remove(&mut self, op: OpId) {
        let Some(operation) = self.operations.remove(&op) else { return };
        if let Some(id) = operation.forward {
            self.forwarding.remove(&id);
        }
        if operation.heals
            && let Some(target) = operation.target()
        {
            self.healing.remove(&(target.bucket.id, target.key.clone()));
        }
    }

    fn forward(&mut self, step: Step<'_>, owner: NodeId, outbox: &mut Outbox<'_, T>) {
        let Some(operation) = self.operations.get_mut(&step.op) else { return };
        let Work::Put(put) = &operation.work else { return };
        let (draft, context, options) = put.forward_body(step);
        let (bucket, key) = (put.target.bucket.id, put.target.key.clone());
        self.last_forward += 1;
        let id = self.last_forward;
        if let Some(before) = operation.forward.replace(id) {
            self.forwarding.remove(&before);
        }
        let receiver = self.health.peer(owner).life.unwrap_or(Incarnation(0));
        self.forwarding.insert(id, (step.op, receiver));
        self.stats.forwarded += 1;
        let floor = self.forwarding.keys().next().copied().unwrap_or(id);
        outbox.effect(Effect::Call {
            peer: owner,
            body: RequestBody::Forward(Forward {
                receiver,
                sender: self.life,
                id,
                floor,
                bucket,
                key,
                draft,
                context,
                options,
            }),
            timeout_us: step.timeout_us(),
            token: CallToken::Forward(step.op, id),
            trace: outbox.trace,
        });
    }

    fn tick(&mut self, (view, now): (&View, Now), outbox: &mut Outbox<'_, T>) {
        while let Some(op) = self.timers.pop_due(now.monotonic_us) {
            self.with((view, now), op, outbox, |operation, step, outbox| {
                let over = now.monotonic_us >= step.deadline_us;
                match &mut operation.work {
                    Work::Get(get) if over => Next::from(get.deadline(step, outbox)),
                    Work::Put(put) if over => Next::from(put.deadline()),
                    Work::Scan(scan) if over => Next::from(scan.deadline()),
                    Work::Get(get) => {
                        get.hedge(step, outbox);
                        Next::Wait
                    }
                    Work::Put(put) => {
                        put.hedge(step, outbox);
                        Next::Wait
                    }
                    Work::Scan(scan) => {
                        scan.hedge(step, outbox);
                        Next::Wait
                    }
                }
            });
        }
    }

    fn get_many(
        &mut self,
        at: (&View, Now),
        asker: Asker<T>,
        gets: Vec<Result<PreparedGet, Error>>,
        outbox: &mut Outbox<'_, T>,
    ) {
        let asker = match asker {
            Asker::Ticket(ticket) if gets.is_empty() => {
                return outbox.effect(Effect::Complete { ticket, outcome: Outcome::GetMany(Vec::new()) });
            }
            asker => asker,
        };
        let many = self.add_many(Many::gets(asker, gets.len()));
        for (index, get) in gets.into_iter().enumerate() {
            self.begin_get(at, Waiter::Part(many, index), get, outbox);
        }
    }

    fn put_many(
        &mut self,
        at: (&View, Now),
        ticket: T,
        puts: Vec<Result<PreparedPut, Error>>,
        outbox: &mut Outbox<'_, T>,
    ) {
        if puts.is_empty() {
            return outbox.effect(Effect::Complete { ticket, outcome: Outcome::PutMany(Vec::new()) });
        }
        let many = self.add_many(Many::puts(ticket, puts.len()));
        for (index, put) in puts.into_iter().enumerate() {
            self.begin_put(at, Waiter::Part(many, index), put, outbox);
        }
    }

    fn add_many(&mut self, many: Many<T>) -> u64 {
        self.last_many += 1;
        self.manies.insert(self.last_many, many);
        self.last_many
    }
}
