mod carry_out;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::causality::{Clock, PeerClocks};
use crate::error::ErrorKind;
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::machine::{Admitted, Door, Event, Life, NodeMachine, PeerAnswer};
use crate::membership::{Liveness, PeerIdentity};
use crate::mutants::{self, Mutant};
use crate::replica::{Ledger, Partitions, open_store};
use crate::storage::{Durability, Storage};
use crate::testing::simulation::disk::FaultyDisk;
use crate::testing::simulation::fabric::Fabric;
use crate::testing::simulation::happening::{Happening, NodeEvent, PendingCall, Ticket};
use crate::testing::simulation::node::writer::Writer;
use crate::time::Now;
use crate::transport::{CallError, Sender};
use crate::view::View;
use crate::wire::{AnswerBody, Request};

/// When all wall clocks of a run begin, in milliseconds since 1970.
pub(super) const WALL_START_MS: i64 = 1_700_000_000_000;

/// One node: its disk, its clock, and, while it runs, the process.
#[derive(Debug)]
pub(super) struct SimulatedNode {
    pub(super) index: usize,
    pub(super) view: View,
    pub(super) disk: Arc<FaultyDisk>,
    pub(super) process: Option<Process>,
    pub(super) is_paused: bool,
    /// What arrived while the node was paused.
    deferred: Vec<NodeEvent>,
    life: u32,
    wall_offset_ms: i64,
    wall_drift_per_million: i64,
    /// How often the clock was set.
    pub(super) clock_sets: u64,
    last_incarnation: Option<Incarnation>,
    /// How many incarnations the store has had.
    pub(super) incarnations: u64,
    /// Repairs that processes which are over have sent.
    past_repairs: u64,
    /// How often disks that it no longer has have failed.
    past_failures: u32,
}

/// A running process: everything that a crash loses.
#[derive(Debug)]
pub(super) struct Process {
    machine: NodeMachine<Ticket>,
    ledger: Ledger,
    clock: Arc<Clock>,
    peers: PeerClocks,
    incarnation: Incarnation,
    calls: BTreeMap<u64, PendingCall>,
    last_call: u64,
    writer: Writer,
    wake_at_us: Option<u64>,
    /// After so many more steps the process crashes.
    steps_left: Option<u64>,
}

impl SimulatedNode {
    pub(super) fn new(index: usize, view: View, disk: Arc<FaultyDisk>) -> Self {
        SimulatedNode {
            index,
            view,
            disk,
            process: None,
            is_paused: false,
            deferred: Vec::new(),
            life: 0,
            wall_offset_ms: 0,
            wall_drift_per_million: 0,
            clock_sets: 0,
            last_incarnation: None,
            incarnations: 0,
            past_repairs: 0,
            past_failures: 0,
        }
    }

    /// Another disk; the process over the old one is gone.
    pub(super) fn replace_disk(&mut self, disk: FaultyDisk) {
        self.past_failures += self.disk.failures();
        self.disk = Arc::new(disk);
    }

    /// How often its disks have failed.
    pub(super) fn disk_failures(&self) -> u32 {
        self.past_failures + self.disk.failures()
    }

    pub(super) fn now(&self, fabric: &Fabric) -> Now {
        let passed_ms = (fabric.now_us / 1_000) as i64;
        let drift_ms = passed_ms * self.wall_drift_per_million / 1_000_000;
        let wall_ms = WALL_START_MS + passed_ms + drift_ms + self.wall_offset_ms;
        Now { monotonic_us: fabric.now_us, wall_ms: wall_ms.max(0) as u64 }
    }

    pub(super) fn set_clock(&mut self, offset_ms: i64, drift_per_million: i64) {
        self.wall_offset_ms = offset_ms;
        self.wall_drift_per_million = drift_per_million;
        self.clock_sets += 1;
    }

    /// What the process makes of another node.
    pub(super) fn liveness(&self, of: NodeId) -> Option<Liveness> {
        self.process.as_ref().map(|process| process.machine.health().peer(of).liveness)
    }

    /// Keys that exchanges of the present process have repaired.
    pub(super) fn keys_repaired(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| process.machine.repair_status().keys_repaired)
    }

    /// Whether so many epochs have gone by that something that was deleted or replaced may be gone.
    pub(super) fn has_reaped(&self) -> bool {
        self.partitions()
            .is_none_or(|partitions| partitions.epochs.figures(&self.view).highest > Epoch::FIRST.plus(2))
    }

    /// What the process knows of its partitions, if one runs.
    pub(super) fn partitions(&self) -> Option<&Partitions> {
        self.process.as_ref().map(|process| &*process.ledger.partitions)
    }

    pub(super) fn repairs(&self) -> u64 {
        let present = self.process.as_ref().map_or(0, |process| process.machine.stats().repairs);
        self.past_repairs + present
    }

    /// Starts the process over what is on the disk; tries again later if the disk fails.
    pub(super) fn start(&mut self, fabric: &mut Fabric) {
        if self.process.is_some() {
            return;
        }
        let fresh = Incarnation(fabric.random.bits() | 1);
        let incarnation = match self.last_incarnation {
            Some(last) if mutants::on(Mutant::ReusesIncarnationAfterRestart) => last,
            _ => fresh,
        };
        let Ok(ledger) = open_store(&*self.disk, incarnation, self.now(fabric)) else {
            return fabric.plan_in(10_000, Happening::NodeStarts(self.index));
        };
        self.last_incarnation = Some(incarnation);
        self.incarnations += 1;
        self.life += 1;
        let own = self.view.node();
        let (seed, now) = (fabric.random.bits(), self.now(fabric));
        let generation = ledger.minter.clock().read(now.wall_ms).0;
        let identity = PeerIdentity { node: own, generation, address: format!("node-{}:1", self.index) };
        let peers = self.view.layout.members().iter().map(|member| member.id).filter(|id| *id != own);
        self.process = Some(Process {
            machine: NodeMachine::new(
                self.view.limits.clone(),
                Life { process: incarnation, identity, seed },
            ),
            clock: Arc::clone(ledger.minter.clock()),
            ledger,
            peers: PeerClocks::new(peers),
            incarnation,
            calls: BTreeMap::new(),
            last_call: 0,
            writer: Writer::default(),
            wake_at_us: None,
            steps_left: None,
        });
        fabric.trace.add(self.index as u64 ^ incarnation.0);
        fabric.trace.line(fabric.now_us, || format!("node {} starts as {incarnation}", self.index));
        self.arm_wakeup(fabric);
    }

    /// The process is gone at once; the batch that was being committed is stored or not.
    pub(super) fn crash(&mut self, fabric: &mut Fabric, down_us: u64) {
        let Some(process) = self.process.take() else { return };
        self.past_repairs += process.machine.stats().repairs;
        self.is_paused = false;
        self.deferred.clear();
        if let Some(batch) = process.writer.into_committing()
            && fabric.random.coin()
        {
            // The storage below does not fail, and a batch that it cannot take is one that was not written.
            let _ = self.disk.inner().write(&batch, Durability::Synced);
        }
        fabric.plan_in(down_us, Happening::NodeStarts(self.index));
        fabric.trace.line(fabric.now_us, || format!("node {} crashes", self.index));
    }

    /// Lets the process crash after so many more steps.
    pub(super) fn arm_crash(&mut self, steps: u64) {
        if let Some(process) = &mut self.process {
            process.steps_left = Some(steps);
        }
    }

    /// Counts a step of the process and says whether the node is gone.
    fn step(&mut self, fabric: &mut Fabric) -> bool {
        match &mut self.process {
            Some(Process { steps_left: Some(0), .. }) => {
                let down_us_max = *fabric.random.pick(&[8_000, 100_000]);
                let down_us = fabric.random.between(2_000, down_us_max);
                self.crash(fabric, down_us);
                true
            }
            Some(Process { steps_left: Some(steps), .. }) => {
                *steps -= 1;
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    pub(super) fn go_on(&mut self, fabric: &mut Fabric) {
        self.is_paused = false;
        for event in std::mem::take(&mut self.deferred) {
            fabric.plan_in(0, Happening::Node(self.index, event));
        }
    }

    /// Something happens to the node.
    pub(super) fn take(&mut self, event: NodeEvent, fabric: &mut Fabric) {
        if self.is_paused {
            return self.deferred.push(event);
        }
        if self.process.is_none() {
            if let NodeEvent::Request { ticket, only_copy, .. } = event {
                fabric.send_absence(self.index, ticket, only_copy);
            }
            return;
        }
        match event {
            NodeEvent::Request { ticket, request, .. } => self.take_request(ticket, *request, fabric),
            NodeEvent::Answer { life, .. }
            | NodeEvent::CallExpires { life, .. }
            | NodeEvent::Tick { life }
            | NodeEvent::WriterBegins { life }
            | NodeEvent::CommitEnds { life }
            | NodeEvent::Late { life, .. }
                if life != self.life => {}
            NodeEvent::Answer { call, result, again, .. } => self.take_answer(call, result, again, fabric),
            NodeEvent::CallExpires { call, .. } => {
                let Some(process) = &mut self.process else { return };
                if let Some(PendingCall { peer, token, sent_us, answered: false, .. }) =
                    process.calls.remove(&call)
                {
                    let message = "nothing came in time".into();
                    let result = Err(CallError::NoAnswer(ErrorKind::DeadlineExceeded, message));
                    let (peer, took_us) = (node_id(peer), fabric.now_us - sent_us);
                    self.run(Event::Answer { token, peer, took_us, result }, fabric);
                }
            }
            NodeEvent::Tick { .. } => {
                let Some(process) = &mut self.process else { return };
                if process.wake_at_us.take_if(|at_us| *at_us <= fabric.now_us).is_none() {
                    // It was woken earlier than this and has planned anew since.
                    return;
                }
                self.run(Event::Tick, fabric);
            }
            NodeEvent::WriterBegins { .. } => self.begin_batch(fabric),
            NodeEvent::CommitEnds { .. } => self.end_commit(fabric),
            NodeEvent::Late { effect, .. } => self.carry_out(vec![*effect], fabric),
        }
        self.arm_wakeup(fabric);
    }

    fn take_request(&mut self, ticket: Ticket, request: Request, fabric: &mut Fabric) {
        if self.step(fabric) {
            return;
        }
        let now = self.now(fabric);
        let sender = match ticket {
            Ticket::Client { .. } => Sender::Client,
            Ticket::Peer { node, .. } => Sender::Peer(node_id(node)),
        };
        let Some(process) = &mut self.process else { return };
        match process.door(&self.view, &*self.disk).admit(now, sender, request, ticket) {
            Admitted::Answered(ticket, body) => self.answer(ticket, body, fabric),
            Admitted::Run(event) => self.run(event, fabric),
            Admitted::Mutate(mutation) => self.queue_mutation(mutation, fabric),
            Admitted::Noted(ticket, event) => {
                self.answer(ticket, AnswerBody::Done, fabric);
                self.run(event, fabric);
            }
            Admitted::Administer(..) => {}
        }
    }

    fn take_answer(
        &mut self,
        call: u64,
        result: Result<Box<crate::wire::Answer>, CallError>,
        again: bool,
        fabric: &mut Fabric,
    ) {
        let now = self.now(fabric);
        let Some(process) = &mut self.process else { return };
        let Some(pending) = process.calls.get_mut(&call) else { return };
        let (peer, token, took_us) = (pending.peer, pending.token.clone(), fabric.now_us - pending.sent_us);
        pending.answered = true;
        if !again {
            process.calls.remove(&call);
        }
        if let Ok(answer) = &result {
            let door = process.door(&self.view, &*self.disk);
            door.hear(Sender::Peer(node_id(peer)), &answer.header, now);
        }
        let result =
            result.map(|answer| PeerAnswer { incarnation: answer.header.incarnation, body: answer.body });
        self.run(Event::Answer { token, peer: node_id(peer), took_us, result }, fabric);
    }

    /// Whether the node takes its clock for wrong.
    pub(super) fn is_off(&self, fabric: &Fabric) -> bool {
        let distance_ms =
            self.process.as_ref().map_or(0, |process| process.peers.distance_ms(self.now(fabric)));
        distance_ms > self.view.limits.clock_drift_ms_max
    }

    fn arm_wakeup(&mut self, fabric: &mut Fabric) {
        let Some(process) = &mut self.process else { return };
        // Timers of a real node are no finer than this either.
        let at = process.machine.next_wakeup_us().max(fabric.now_us).next_multiple_of(1_000);
        if process.wake_at_us.is_none_or(|armed| at < armed) {
            process.wake_at_us = Some(at);
            let event = NodeEvent::Tick { life: self.life };
            fabric.queue.plan(at, Happening::Node(self.index, event));
        }
    }
}

impl Process {
    fn door<'a>(&'a self, view: &'a View, store: &'a dyn Storage) -> Door<'a> {
        let partitions = &*self.ledger.partitions;
        let (clock, peers, incarnation) = (&*self.clock, &self.peers, self.incarnation);
        Door { view, clock, peers, incarnation, store, partitions }
    }
}

/// The id of the node at an index.
pub(super) fn node_id(index: usize) -> NodeId {
    NodeId(index as u64 + 1)
}
