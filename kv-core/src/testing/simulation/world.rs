use crate::command::{GetAnswer, PutResult, ScanAnswer, ScanPosition};
use crate::error::Error;
use crate::ids::ClusterId;
use crate::testing::simulation::client::{Chosen, Client, Current, What, client_header};
use crate::testing::simulation::fabric::Fabric;
use crate::testing::simulation::happening::{Happening, Ticket};
use crate::testing::simulation::history::{Basis, ClockSpan, History, Listed, WriteOutcome, Written};
use crate::testing::simulation::keys::SimulatedKey;
use crate::testing::simulation::node::SimulatedNode;
use crate::testing::simulation::stores::Stores;
use crate::wire::{AnswerBody, Request, RequestBody};

/// A whole cluster with its clients.
#[derive(Debug)]
pub(super) struct World {
    pub(super) fabric: Fabric,
    pub(super) nodes: Vec<SimulatedNode>,
    pub(super) clients: Vec<Client>,
    pub(super) keys: Vec<SimulatedKey>,
    pub(super) history: History,
    pub(super) cluster: ClusterId,
    pub(super) operations: u64,
    pub(super) succeeded: u64,
    /// Operations on single keys, and when the last began.
    pub(super) key_operations: u64,
    pub(super) bits_flipped: u64,
    pub(super) stores: Stores,
    /// Keys that scans showed out of order, twice, or outside of the page.
    pub(super) strays: u64,
    /// Flips per key, since each may cost an actor.
    pub(super) flips: Vec<u64>,
    /// Whether faults are over.
    pub(super) is_over: bool,
    /// The answer to the one who checks in the end, when it has come.
    pub(super) checkers_answer: Option<Option<AnswerBody>>,
}

impl World {
    /// Lets things happen until `until_us`, or until `done` says so.
    pub(super) fn run(&mut self, until_us: u64, done: impl Fn(&World) -> bool) {
        while !done(self)
            && let Some((at_us, happening)) = self.fabric.queue.next(until_us)
        {
            self.fabric.now_us = at_us;
            self.fabric.trace.add(at_us);
            self.take(happening);
        }
    }

    pub(super) fn clients_are_done(&self) -> bool {
        self.operations as usize >= self.fabric.plan.operations
            && self.clients.iter().all(|client| client.current.is_none())
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Node(node, event) => {
                self.fabric.trace.add(node as u64);
                self.nodes[node].take(event, &mut self.fabric);
            }
            Happening::ClientActs(client) => self.act(client),
            Happening::ClientGivesUp(client, operation) => {
                if self.clients.get(client).is_some_and(|client| client.operation == operation) {
                    self.end_operation(client, None);
                }
            }
            Happening::Reply(client, operation, body) => self.reply(client, operation, body),
            Happening::NodeCrashes(node) => self.crash_briefly(node),
            Happening::NodeStarts(node) => self.nodes[node].start(&mut self.fabric),
            Happening::NodeGoesOn(node) => self.nodes[node].go_on(&mut self.fabric),
            Happening::Fault => self.inject(),
            Happening::Flip(node, key) => self.flip_written(node, &key),
            Happening::DiskHasSpace(node) => self.nodes[node].disk.has_space(),
            Happening::Heals(number) => {
                if self.fabric.network.heal(number) {
                    self.fabric.trace.line(self.fabric.now_us, || "the network is whole".into());
                }
            }
        }
    }

    fn act(&mut self, index: usize) {
        if self.operations as usize >= self.fabric.plan.operations || self.clients[index].current.is_some() {
            return;
        }
        self.operations += 1;
        let now_us = self.fabric.now_us;
        let client = &mut self.clients[index];
        client.operation += 1;
        let Fabric { plan, random, .. } = &mut self.fabric;
        let Chosen { body, mut current, gives_up_us } =
            client.choose(now_us, plan, &self.keys, &mut self.history, random);
        let first = match &current.what {
            What::Gets(keys) => keys[0],
            What::Puts(puts) => puts[0].0,
            What::Scan(key, ..) => *key,
        };
        self.key_operations += match &current.what {
            What::Gets(keys) => keys.len() as u64,
            What::Puts(puts) => puts.len() as u64,
            What::Scan(..) => 1,
        };
        // Mostly an owner; the others have to hand puts over.
        let to = match random.below(3) {
            0 => random.index(self.nodes.len()),
            _ => *random.pick(&self.keys[first].owners),
        };
        let operation = client.operation;
        let describe = || {
            format!(
                "client {index} op {operation} to node {to}: {}",
                describe(&body, &current, &self.history)
            )
        };
        self.fabric.trace.line(now_us, describe);
        current.mark = Some(self.mark(to));
        self.clients[index].current = Some(current);
        self.send(index, operation, to, body);
        self.fabric.queue.plan(gives_up_us, Happening::ClientGivesUp(index, operation));
    }

    pub(super) fn send(&mut self, client: usize, operation: u32, to: usize, body: RequestBody) {
        let request = Request { header: client_header(self.cluster), body };
        self.fabric.send_client_request(to, Ticket::Client { client, operation }, request);
    }

    fn reply(&mut self, index: usize, operation: u32, body: Option<AnswerBody>) {
        self.fabric.note_reply(index, operation, body.as_ref());
        match self.clients.get(index) {
            None => self.checkers_answer = Some(body),
            Some(client) if client.operation == operation && client.current.is_some() => {
                self.fabric
                    .trace
                    .line(self.fabric.now_us, || format!("client {index} op {operation}: {body:?}"));
                self.end_operation(index, Some(body));
            }
            Some(_) => {}
        }
    }

    /// `answer`: what came, if anything; inside, none if the node was not there.
    fn end_operation(&mut self, index: usize, answer: Option<Option<AnswerBody>>) {
        let Some(current) = self.clients[index].current.take() else { return };
        let was_there = !matches!(answer, Some(None));
        let clock = current.mark.map_or(ClockSpan::UNKNOWN, |mark| self.span(mark));
        let is_unknown = matches!(&answer, None | Some(Some(AnswerBody::Put(PutResult::Indeterminate(_)))));
        if let (What::Puts(puts), Some(put)) = (&current.what, current.put)
            && let [(key, place)] = puts[..]
            && is_unknown
        {
            self.clients[index].pending = Some((put, key, place));
        }
        match (current.what, answer) {
            (What::Gets(keys), Some(Some(body))) => {
                let results = match body {
                    AnswerBody::Get(result) => vec![result],
                    AnswerBody::GetMany(results) => results,
                    _ => Vec::new(),
                };
                for (key, result) in keys.into_iter().zip(results) {
                    self.end_get(index, key, (current.start_us, current.r, clock), result);
                }
            }
            (What::Scan(key, from, values), Some(Some(AnswerBody::Scan(Ok(page))))) => {
                let began = (current.start_us, current.r, clock);
                self.end_scan(index, (self.keys[key].bucket, values), &from, began, page);
            }
            (What::Puts(puts), Some(Some(body))) => {
                let results = match body {
                    AnswerBody::Put(result) => vec![result],
                    AnswerBody::PutMany(results) => results,
                    AnswerBody::Refused(error) => {
                        puts.iter().map(|_| PutResult::NotApplied(error.clone())).collect()
                    }
                    _ => Vec::new(),
                };
                for ((key, write), result) in puts.into_iter().zip(results) {
                    self.end_put(index, (key, write), clock, result);
                }
            }
            (What::Puts(puts), Some(None)) => {
                for (key, write) in puts {
                    let write = &mut self.history.keys[key].writes[write];
                    if !write.is_retried {
                        write.outcome = WriteOutcome::NotApplied;
                    }
                }
            }
            (_, _) => {}
        }
        let think_us = self.fabric.random.below(if was_there { 500 } else { 5_000 });
        self.fabric.plan_in(think_us, Happening::ClientActs(index));
    }

    /// A page says of every key from its beginning to its end what a get would have said.
    fn end_scan(
        &mut self,
        client: usize,
        (bucket, has_values): (usize, bool),
        from: &ScanPosition,
        (start_us, r, clock): (u64, usize, ClockSpan),
        page: ScanAnswer,
    ) {
        self.succeeded += 1;
        let times = (start_us, self.fabric.now_us);
        let mut entries = page.entries.into_iter().peekable();
        let mut keys: Vec<usize> = (0..self.keys.len()).collect();
        keys.sort_by_key(|key| (self.keys[*key].token, self.keys[*key].key.clone()));
        for key in keys {
            let SimulatedKey { token, key: name, .. } = &self.keys[key];
            let is_covered = self.keys[key].bucket == bucket
                && !from.is_behind(*token, name)
                && page.next.as_ref().is_none_or(|next| next.is_behind(*token, name));
            if !is_covered {
                continue;
            }
            let entry = entries.next_if(|entry| entry.key == *name);
            if !has_values && entry.is_some() {
                let (start_us, end_us) = times;
                self.history.keys[key].listed.push(Listed { start_us, end_us, r, clock });
                continue;
            }
            let values = entry.as_ref().map(|entry| entry.values.as_slice()).unwrap_or_default();
            let read = self.history.read(key, times, clock, r, false, values);
            if let Some(entry) = entry {
                self.clients[client].remember(key, entry.context, Basis::Read(read));
            }
        }
        self.strays += entries.count() as u64;
    }

    fn end_get(
        &mut self,
        client: usize,
        key: usize,
        (start_us, r, clock): (u64, usize, ClockSpan),
        result: Result<GetAnswer, Error>,
    ) {
        if let Ok(answer) = result {
            self.succeeded += 1;
            let times = (start_us, self.fabric.now_us);
            let owners = r.saturating_sub(answer.stand_ins.into());
            let read = self.history.read(key, times, clock, owners, false, &answer.values);
            self.clients[client].remember(key, answer.context, Basis::Read(read));
        }
    }

    fn end_put(&mut self, client: usize, (key, place): (usize, usize), clock: ClockSpan, result: PutResult) {
        let now_us = self.fabric.now_us;
        let write = &mut self.history.keys[key].writes[place];
        write.end_us = now_us;
        // An earlier try may be made all the same.
        if !write.is_retried {
            write.reads_until_us = write.reads_until_us.min(now_us);
        }
        match result {
            PutResult::NotApplied(_) if write.is_retried => {}
            PutResult::NotApplied(_) => write.outcome = WriteOutcome::NotApplied,
            PutResult::Indeterminate(_) => {}
            PutResult::Applied(applied) => {
                self.succeeded += 1;
                write.reached(clock.until_ms);
                let stand_ins = applied.acks.iter().filter_map(|ack| ack.stands_for);
                write.kept_for = stand_ins.collect();
                write.w = write.w.saturating_sub(write.kept_for.len());
                write.r = write.r.saturating_sub(applied.stand_ins_read.into());
                let bucket = self.fabric.plan.buckets[self.keys[key].bucket].id;
                let secret = self.nodes[0].view.secret();
                let named = applied.context.open(secret, bucket, &self.keys[key].key);
                let named = named.map(|context| context.dots).unwrap_or_default();
                let basis = match applied.dot {
                    Some(dot) => {
                        write.outcome = WriteOutcome::Applied(dot, named);
                        Basis::Answer(place)
                    }
                    None => {
                        if !write.is_retried {
                            write.outcome = WriteOutcome::NothingToDelete;
                        }
                        let times = (write.start_us, now_us);
                        let r = write.r;
                        Basis::Read(self.history.read(key, times, clock, r, false, &[]))
                    }
                };
                self.clients[client].remember(key, applied.context, basis);
            }
        }
    }
}

fn describe(body: &RequestBody, current: &Current, history: &History) -> String {
    match &current.what {
        What::Gets(keys) => format!("get of keys {keys:?}, R = {}", current.r),
        What::Scan(key, from, _) => format!("scan of the bucket of key {key} from {from}, R = {}", current.r),
        What::Puts(puts) => {
            let many = if puts.len() > 1 { "puts" } else { "put" };
            let writes = puts.iter().map(|(key, place)| {
                let write = &history.keys[*key].writes[*place];
                let verb = match write.what {
                    Written::Tombstone => "delete",
                    Written::Expiry(_) => "expiry",
                    Written::Value(_) => "value",
                };
                format!(
                    "{} {verb} id {} {:?} W = {}",
                    history.keys[*key].name, write.id, write.basis, write.w
                )
            });
            let writes: Vec<String> = writes.collect();
            debug_assert!(!matches!(body, RequestBody::Get(_)));
            format!("{many} {}", writes.join("; "))
        }
    }
}
