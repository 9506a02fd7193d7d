//! The end of a run: faults are over, every key is read from all replicas, and what is left is judged.

use crate::bucket::{Quorum, QuorumMode};
use crate::command::{
    Content, Get, GetAnswer, Put, PutResult, ReadOptions, ReadRepair, Replace, WriteOptions,
};
use crate::testing::simulation::history::{Basis, Write, WriteOutcome, Written, encode};
use crate::testing::simulation::plan::Rates;
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Violation};
use crate::wire::{AnswerBody, RequestBody};

/// How long everything that is still under way is given, in microseconds.
const QUIET_US: u64 = 1_000_000;
/// How long repairs are given after a read.
const REPAIR_US: u64 = 100_000;
/// How often an operation is tried before the service counts as gone.
const TRIES: usize = 12;
/// Most bytes of a record with one version, beside 64 for each actor that there can have been.
const RECORD_BYTES_MAX: usize = 160;
/// How often, at most, a node stands in anew for a key that it has handed on: each time under another actor.
const BIRTHS_MAX: u64 = 8;

impl World {
    /// Ends all faults, reads every key until all replicas are equal, and looks for what should not be.
    pub(super) fn settle(&mut self) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.end_faults();
        self.check_copies(&mut violations);
        self.check_trees(&mut violations);
        self.hand_on();
        self.check_reaping(&mut violations);
        self.check_exchanges(&mut violations);
        for key in 0..self.keys.len() {
            if self.read_from_all(key, key % self.nodes.len()).is_none() {
                let message = format!("{}: no get of all replicas succeeds", self.history.keys[key].name);
                violations.push(Violation { check: Check::ServiceComesBack, message });
                return violations;
            }
            self.wait(REPAIR_US);
        }
        self.check_stored(&mut violations);
        self.check_again(&mut violations);
        self.check_growth(&mut violations);
        self.check_trees(&mut violations);
        self.check_retries(&mut violations);
        self.check_while_one_is_away(&mut violations);
        violations
    }

    fn end_faults(&mut self) {
        self.is_over = true;
        self.fabric.network.heal_all();
        self.fabric.plan.rates = Rates { commit_us_max: 1_000, ..Rates::default() };
        for node in &mut self.nodes {
            node.disk.fail(&self.fabric.plan.rates, 0);
            node.disk.has_space();
            node.set_clock(0, 0);
            node.arm_crash(u64::MAX);
            if node.is_paused {
                node.go_on(&mut self.fabric);
            }
            node.start(&mut self.fabric);
        }
        self.wait(QUIET_US);
    }

    pub(super) fn wait(&mut self, time_us: u64) {
        let until_us = self.fabric.now_us + time_us;
        self.run(until_us, |_| false);
        self.fabric.now_us = until_us;
    }

    pub(super) fn ask(&mut self, node: usize, body: RequestBody) -> Option<AnswerBody> {
        self.checkers_answer = None;
        self.send(self.clients.len(), 0, node, body);
        let until_us = self.fabric.now_us + QUIET_US;
        self.run(until_us, |world| world.checkers_answer.is_some());
        self.checkers_answer.take().flatten()
    }

    /// Reads a key from all replicas through a node, as often as it takes; what is damaged is healed on the way.
    fn read_from_all(&mut self, key: usize, node: usize) -> Option<GetAnswer> {
        let options = ReadOptions {
            r: Some(Quorum::All),
            quorum: Some(QuorumMode::Strict),
            timeout_ms: Some(500),
            explain: false,
            repair: ReadRepair::Background,
        };
        let bucket = self.fabric.plan.buckets[self.keys[key].bucket].name.to_string();
        for _ in 0..TRIES {
            let start_us = self.fabric.now_us;
            let mark = self.mark(node);
            let get =
                Get { bucket: bucket.clone(), key: self.keys[key].key.clone(), options: options.clone() };
            match self.ask(node, RequestBody::Get(get)) {
                Some(AnswerBody::Get(Ok(answer))) => {
                    let times = (start_us, self.fabric.now_us);
                    let replicas = self.keys[key].owners.len();
                    self.history.read(key, times, self.span(mark), replicas, true, &answer.values);
                    return Some(answer);
                }
                other => {
                    let now_us = self.fabric.now_us;
                    self.fabric.trace.line(now_us, || {
                        format!("reading key {key} from all through node {node}: {other:?}")
                    });
                }
            }
            self.wait(REPAIR_US);
        }
        None
    }

    /// All owners of a key store equal records, whole ones.
    fn check_stored(&self, violations: &mut Vec<Violation>) {
        for key in 0..self.keys.len() {
            let stored = self.keys[key].owners.iter().map(|owner| {
                // By name: pasts go at each replica in its own time.
                let digest = self.cell(*owner, key, |cell| {
                    cell.filter(|cell| cell.recovering.is_none()).and_then(|cell| cell.dots().ok())
                });
                let digest = digest.filter(|dots| dots.as_ref().is_none_or(|dots| !dots.is_empty()));
                (*owner, digest)
            });
            let stored: Vec<_> = stored.collect();
            let whole = stored.iter().all(|(_, digest)| !matches!(digest, Some(None)));
            if !whole || stored.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                let name = &self.history.keys[key].name;
                let message = format!("{name}: after a read of all replicas the owners store {stored:?}");
                violations.push(Violation { check: Check::ReplicasConverge, message });
            }
        }
    }

    /// Every node answers the same for every key, and no read repairs anything any more.
    fn check_again(&mut self, violations: &mut Vec<Violation>) {
        let repairs = self.repairs();
        for key in 0..self.keys.len() {
            let mut answers = Vec::with_capacity(self.nodes.len());
            for node in 0..self.nodes.len() {
                answers.push(self.read_from_all(key, node).map(|answer| answer.values));
            }
            let name = self.history.keys[key].name.clone();
            if answers.iter().any(Option::is_none) {
                let message = format!("{name}: some node cannot read all replicas");
                violations.push(Violation { check: Check::ServiceComesBack, message });
            } else if answers.windows(2).any(|pair| pair[0] != pair[1]) {
                let message = format!("{name}: nodes answer differently: {answers:?}");
                violations.push(Violation { check: Check::ReplicasConverge, message });
            }
        }
        self.wait(REPAIR_US);
        let more = self.repairs() - repairs;
        if more > 0 {
            let message = format!("{more} repairs were sent after all replicas had converged");
            violations.push(Violation { check: Check::ConvergedNeedNoRepair, message });
        }
    }

    fn repairs(&self) -> u64 {
        self.nodes.iter().map(|node| node.repairs()).sum()
    }

    /// An overwrite that nothing disturbs leaves one version at every owner, whose size is that of its value and of its actors.
    fn check_growth(&mut self, violations: &mut Vec<Violation>) {
        for key in 0..self.keys.len() {
            if !self.overwrite(key) {
                continue;
            }
            self.wait(REPAIR_US);
            // Where others stand in, they mint too.
            let is_sloppy = self.fabric.plan.buckets[self.keys[key].bucket].mode == QuorumMode::Sloppy;
            let mints = |index: &usize| is_sloppy || self.keys[key].owners.contains(index);
            let lives = (0..self.nodes.len()).filter(mints).map(|index| self.nodes[index].incarnations);
            let births = if is_sloppy { self.nodes.len() as u64 * BIRTHS_MAX } else { 0 };
            let actors_max = (lives.sum::<u64>() + self.flips[key] + births) as usize;
            for owner in self.keys[key].owners.clone() {
                let stored = self.cell(owner, key, |cell| {
                    let record = cell?.record();
                    let decoded = record.decode().ok()?;
                    let actors = decoded.versions().iter().map(|version| version.past.actors()).max();
                    Some((decoded.versions().len(), actors.unwrap_or(0), record.len()))
                });
                let Some(Some((versions, actors, bytes))) = stored else { continue };
                if versions != 1 || actors > actors_max || bytes > RECORD_BYTES_MAX + 64 * actors_max {
                    let name = &self.history.keys[key].name;
                    let message = format!(
                        "{name}: after an overwrite that nothing disturbs node {owner} stores {versions} versions \
                         that name {actors} actors (there were at most {actors_max}) in {bytes} bytes"
                    );
                    violations.push(Violation { check: Check::RecordsStaySmall, message });
                }
            }
        }
    }

    /// Overwrites a key through the first owner that does it; a node whose clock is far from its peers' refuses.
    fn overwrite(&mut self, key: usize) -> bool {
        let owners = self.keys[key].owners.clone();
        owners.into_iter().any(|owner| self.put_at_all(key, owner, Basis::Overwrite).is_some())
    }

    /// Puts through a node, replacing nothing or everything, and returns the place of the write if all owners acknowledged it.
    pub(super) fn put_at_all(&mut self, key: usize, node: usize, basis: Basis) -> Option<usize> {
        let start_us = self.fabric.now_us;
        let replicas = self.keys[key].owners.len();
        let place = self.history.begin(key, |id| Write {
            id,
            what: Written::Value(None),
            is_retried: false,
            start_us,
            end_us: u64::MAX,
            reads_until_us: u64::MAX,
            basis,
            w: replicas,
            r: replicas,
            outcome: WriteOutcome::Indeterminate,
            kept_for: Vec::new(),
        });
        let all = Some(Quorum::All);
        let put = Put {
            bucket: self.fabric.plan.buckets[self.keys[key].bucket].name.to_string(),
            key: self.keys[key].key.clone(),
            content: Content::value(encode(self.history.keys[key].writes[place].id)),
            replace: if basis == Basis::Overwrite { Replace::Overwrite } else { Replace::Nothing },
            options: WriteOptions {
                w: all,
                r: all,
                quorum: Some(QuorumMode::Strict),
                timeout_ms: Some(500),
                ..WriteOptions::default()
            },
        };
        let answer = self.ask(node, RequestBody::Put(put));
        matches!(answer, Some(AnswerBody::Put(PutResult::Applied(_)))).then_some(place)
    }
}
