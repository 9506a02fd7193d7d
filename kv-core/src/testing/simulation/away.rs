//! One node away: when the others had time to notice, operations go on without it, and hardly slower.

use crate::bucket::{Quorum, QuorumMode};
use crate::command::{Get, Put, PutResult};
use crate::testing::simulation::world::World;
use crate::testing::simulation::{Check, Violation};
use crate::wire::{AnswerBody, RequestBody};

/// Runs end so once in so many seeds.
const EVERY: u64 = 8;
/// How long a node is given to be missed, or known again, by all others: some probes by each of them, and suspicion.
const DETECTION_US: u64 = 1_200_000;
/// Gets, and as many overwrites, of which latencies are compared.
const OPERATIONS: usize = 100;
/// How much longer they may take at the 99th percentile while a node is away.
const TIMES_MAX: u64 = 2;

/// How long operations took that succeeded, ascending, and what became of the others.
#[derive(Debug, Default)]
struct Outcomes {
    gets_us: Vec<u64>,
    puts_us: Vec<u64>,
    failed: Vec<String>,
}

impl World {
    /// Compares what clients see while all nodes are there, and while one is not that they do not ask.
    pub(super) fn check_while_one_is_away(&mut self, violations: &mut Vec<Violation>) {
        if self.fabric.random.below(EVERY) > 0 {
            return;
        }
        let away = self.fabric.random.index(self.nodes.len());
        // A majority of their owners is still there.
        let keys: Vec<usize> = (0..self.keys.len()).filter(|key| self.keys[*key].owners.len() > 2).collect();
        // Stamps never go back: where clocks were years ahead, some node takes its own for wrong and coordinates no writes.
        if keys.is_empty() || self.nodes.iter().any(|node| node.is_off(&self.fabric)) {
            return;
        }
        self.wait(DETECTION_US);
        let before = self.operate(&keys, away);
        let how = self.take_away(away);
        self.wait(DETECTION_US);
        let without = self.operate(&keys, away);
        self.fabric.network.heal_all();
        if self.nodes[away].is_paused {
            self.nodes[away].go_on(&mut self.fabric);
        }
        let mut violate = |check, message| violations.push(Violation { check, message });
        for (name, outcomes) in [("all nodes are there", &before), (how, &without)] {
            if let Some(first) = outcomes.failed.first() {
                let failed = outcomes.failed.len();
                let message = format!("{failed} of {} operations fail while {name}: {first}", 2 * OPERATIONS);
                violate(Check::MajorityGoesOn, message);
            }
        }
        let compared =
            [("gets", &before.gets_us, &without.gets_us), ("overwrites", &before.puts_us, &without.puts_us)];
        for (name, before, without) in compared {
            let (healthy, now) = (percentile_99(before), percentile_99(without));
            if now > TIMES_MAX * healthy {
                let message = format!(
                    "{name}: 99 % take at most {healthy} us while all nodes are there, {now} us while {how}"
                );
                violate(Check::MajorityGoesOn, message);
            }
        }
    }

    /// Pauses a node, cuts it off, or lets nothing leave it.
    fn take_away(&mut self, away: usize) -> &'static str {
        match self.fabric.random.below(3) {
            0 => {
                self.nodes[away].is_paused = true;
                "a node is paused"
            }
            1 => {
                self.fabric.network.cut_off(away);
                "a node is cut off"
            }
            _ => {
                self.fabric.network.mute(away);
                "nothing leaves a node"
            }
        }
    }

    /// Reads and overwrites keys, one after the other, through the nodes that are not away.
    fn operate(&mut self, keys: &[usize], away: usize) -> Outcomes {
        let nodes: Vec<usize> = (0..self.nodes.len()).filter(|node| *node != away).collect();
        let mut outcomes = Outcomes::default();
        for number in 0..OPERATIONS {
            let key = keys[number % keys.len()];
            let node = *self.fabric.random.pick(&nodes);
            let bucket = self.fabric.plan.buckets[self.keys[key].bucket].name;
            let name = self.keys[key].key.clone();
            let mut get = Get::new(bucket, name.clone()).with_r(Quorum::Majority);
            get.options.quorum = Some(QuorumMode::Strict);
            let mut put = Put::new(bucket, name, number.to_string()).with_w(Quorum::Majority);
            put.options.quorum = Some(QuorumMode::Strict);
            let began_us = self.fabric.now_us;
            match self.ask(node, RequestBody::Get(get)) {
                Some(AnswerBody::Get(Ok(_))) => outcomes.gets_us.push(self.fabric.now_us - began_us),
                other => outcomes.failed.push(format!("key {key} through node {node}: {other:?}")),
            }
            let began_us = self.fabric.now_us;
            match self.ask(node, RequestBody::Put(put)) {
                Some(AnswerBody::Put(PutResult::Applied(_))) => {
                    outcomes.puts_us.push(self.fabric.now_us - began_us);
                }
                other => outcomes.failed.push(format!("key {key} through node {node}: {other:?}")),
            }
        }
        outcomes.gets_us.sort_unstable();
        outcomes.puts_us.sort_unstable();
        outcomes
    }
}

fn percentile_99(ascending: &[u64]) -> u64 {
    let place = (ascending.len() * 99).div_ceil(100).saturating_sub(1);
    ascending.get(place).copied().unwrap_or(0)
}
