use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::codec::LIST_ITEMS_MAX;
use crate::ids::{NodeId, OpId, TraceId};
use crate::machine::repairs::Repairs;
use crate::machine::{CallToken, Effect, Health, LocalRead};
use crate::replica::{Merge, MergeGroup, Mutation};
use crate::wire::{ReadItem, RequestBody, WriteItem};

/// What the operations want done while one event is handled. What goes to one peer is sent as one request, so the writes of a batch, and
/// the keys of a `get_many`, travel together.
#[derive(Debug)]
pub(super) struct Outbox<'a, T> {
    effects: &'a mut Vec<Effect<T>>,
    local_reads: SmallVec<[LocalRead; 1]>,
    reads: BTreeMap<NodeId, Group<ReadItem>>,
    writes: BTreeMap<NodeId, Group<WriteItem>>,
    repairs: BTreeMap<NodeId, (Group<WriteItem>, SmallVec<[u64; 1]>)>,
    /// What is under way of them.
    under_way: Repairs,
    bytes_max: usize,
    repairs_sent: u64,
    damages_seen: u64,
    /// What the operation belongs to that takes a step.
    pub(super) trace: TraceId,
    /// How the peers are.
    pub(super) health: Arc<Health>,
    /// Peers that were waited for in vain.
    missed: SmallVec<[NodeId; 4]>,
}

#[derive(Debug)]
struct Group<I> {
    items: Vec<I>,
    owners: SmallVec<[(OpId, u8); 1]>,
    timeout_us: u64,
    bytes: usize,
    trace: TraceId,
}

impl<I> Default for Group<I> {
    fn default() -> Self {
        Group { items: Vec::new(), owners: SmallVec::new(), timeout_us: 0, bytes: 0, trace: TraceId::NONE }
    }
}

impl<I> Group<I> {
    fn add(&mut self, item: I, (op, index): (OpId, u8), timeout_us: u64, trace: TraceId) {
        self.items.push(item);
        self.owners.push((op, index));
        self.timeout_us = self.timeout_us.max(timeout_us);
        if self.trace == TraceId::NONE {
            self.trace = trace;
        }
    }

    /// Takes out what was gathered if an item of about `bytes` bytes would make it too large for one request.
    fn make_room(&mut self, bytes: usize, bytes_max: usize) -> Option<Self> {
        let full = self.items.len() >= LIST_ITEMS_MAX || (self.bytes > 0 && self.bytes + bytes > bytes_max);
        let full = full.then(|| std::mem::take(self));
        self.bytes += bytes;
        full
    }
}

impl<'a, T> Outbox<'a, T> {
    /// An empty outbox; requests of more than about `bytes_max` bytes are cut in several.
    pub(super) fn new(
        effects: &'a mut Vec<Effect<T>>,
        health: Arc<Health>,
        under_way: Repairs,
        bytes_max: usize,
    ) -> Self {
        Outbox {
            effects,
            local_reads: SmallVec::new(),
            reads: BTreeMap::new(),
            writes: BTreeMap::new(),
            repairs: BTreeMap::new(),
            under_way,
            bytes_max,
            repairs_sent: 0,
            damages_seen: 0,
            trace: TraceId::NONE,
            health,
            missed: SmallVec::new(),
        }
    }

    pub(super) fn read_local(&mut self, op: OpId, index: u8, item: ReadItem) {
        self.local_reads.push(LocalRead { op: (op, index), item });
    }

    pub(super) fn read(&mut self, peer: NodeId, op: OpId, index: u8, item: ReadItem, timeout_us: u64) {
        let group = self.reads.entry(peer).or_default();
        let bytes = item.key.as_bytes().len() + 32;
        if let Some(full) = group.make_room(bytes, self.bytes_max) {
            self.effects.push(read_call(peer, full));
        }
        group.add(item, (op, index), timeout_us, self.trace);
    }

    pub(super) fn read_alone(&mut self, peer: NodeId, op: OpId, index: u8, item: ReadItem, timeout_us: u64) {
        let mut group = Group::default();
        group.add(item, (op, index), timeout_us, self.trace);
        self.effects.push(read_call(peer, group));
    }

    pub(super) fn write(&mut self, peer: NodeId, op: OpId, index: u8, item: WriteItem, timeout_us: u64) {
        let group = self.writes.entry(peer).or_default();
        if let Some(full) = group.make_room(bytes_of(&item), self.bytes_max) {
            self.effects.push(write_call(peer, full));
        }
        group.add(item, (op, index), timeout_us, self.trace);
    }

    /// Repairs a peer's record, and does not want to know how that ends. What heals a damage goes in any case.
    pub(super) fn repair(
        &mut self,
        peer: NodeId,
        op: OpId,
        (item, digest): (WriteItem, u64),
        timeout_us: u64,
    ) {
        let heals = item.heal.is_some();
        if !heals && !self.under_way.admit(peer, digest) {
            return;
        }
        self.repairs_sent += 1;
        let (group, digests) = self.repairs.entry(peer).or_default();
        if let Some(full) = group.make_room(bytes_of(&item), self.bytes_max) {
            let call = self.under_way.sent(peer, std::mem::take(digests));
            self.effects.push(repair_call(peer, full, call));
        }
        group.add(item, (op, 0), timeout_us, self.trace);
        digests.extend((!heals).then_some(digest));
    }

    /// A request with repairs was answered, or will not be.
    pub(super) fn repairs_ended(&mut self, call: u64) {
        self.under_way.ended(call);
    }

    /// Repairs a peer's record, and wants to know of its commit.
    pub(super) fn write_repair(
        &mut self,
        peer: NodeId,
        op: OpId,
        index: u8,
        item: WriteItem,
        timeout_us: u64,
    ) {
        self.repairs_sent += 1;
        self.write(peer, op, index, item, timeout_us);
    }

    /// Repairs this node's own record.
    pub(super) fn repair_local(&mut self, merge: Merge) {
        self.merge(None, merge);
    }

    /// Repairs this node's own record, and wants to know of its commit.
    pub(super) fn repair_own(&mut self, op: OpId, merge: Merge) {
        self.merge(Some(op), merge);
    }

    fn merge(&mut self, op: Option<OpId>, merge: Merge) {
        self.repairs_sent += 1;
        let group = MergeGroup { reply: None, op, items: vec![Ok(merge)] };
        self.effects.push(Effect::Mutate(Mutation::Merge(group)));
    }

    pub(super) fn effect(&mut self, effect: Effect<T>) {
        self.effects.push(effect);
    }

    /// Takes note of damaged records that a get was told of.
    pub(super) fn saw_damage(&mut self, records: usize) {
        self.damages_seen += records as u64;
    }

    pub(super) fn damages_seen(&self) -> u64 {
        self.damages_seen
    }

    pub(super) fn repairs_sent(&self) -> u64 {
        self.repairs_sent
    }

    /// How gladly a node is asked: the lower the better.
    pub(super) fn rank(&self, node: Option<&NodeId>) -> u8 {
        node.map_or(u8::MAX, |node| self.health.rank(*node))
    }

    /// Takes note that a peer has not answered in time, so that others are preferred.
    pub(super) fn missed(&mut self, peer: NodeId) {
        self.missed.push(peer);
    }

    /// Turns what was gathered into effects, peers in ascending order; returns the peers that were waited for in vain, and the repairs that are under way.
    pub(super) fn flush(mut self) -> (SmallVec<[NodeId; 4]>, Repairs) {
        if !self.local_reads.is_empty() {
            self.effects.push(Effect::Read(self.local_reads));
        }
        self.effects.extend(self.reads.into_iter().map(|(peer, group)| read_call(peer, group)));
        self.effects.extend(self.writes.into_iter().map(|(peer, group)| write_call(peer, group)));
        for (peer, (group, digests)) in self.repairs {
            let call = self.under_way.sent(peer, digests);
            self.effects.push(repair_call(peer, group, call));
        }
        (self.missed, self.under_way)
    }
}

/// About how long a write is in a frame.
fn bytes_of(item: &WriteItem) -> usize {
    item.key.as_bytes().len() + item.record.len() + 64
}

fn read_call<T>(peer: NodeId, group: Group<ReadItem>) -> Effect<T> {
    let Group { items, owners, timeout_us, trace, .. } = group;
    Effect::Call { peer, body: RequestBody::Read(items), timeout_us, token: CallToken::Read(owners), trace }
}

fn write_call<T>(peer: NodeId, group: Group<WriteItem>) -> Effect<T> {
    let Group { items, owners, timeout_us, trace, .. } = group;
    Effect::Call { peer, body: RequestBody::Write(items), timeout_us, token: CallToken::Write(owners), trace }
}

fn repair_call<T>(peer: NodeId, group: Group<WriteItem>, call: u64) -> Effect<T> {
    let Group { items, timeout_us, trace, .. } = group;
    Effect::Call { peer, body: RequestBody::Write(items), timeout_us, token: CallToken::Repair(call), trace }
}
