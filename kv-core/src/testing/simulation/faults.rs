use crate::record::CellView;
use crate::testing::simulation::happening::Happening;
use crate::testing::simulation::world::World;

/// Ten years, in milliseconds.
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

/// How long a node calls slowly whose next record is damaged, in microseconds.
const SLOW_CALLER_US: u64 = 60_000;
/// How long a node is down that crashes briefly, in microseconds.
const BRIEFLY_US: (u64, u64) = (1_000, 8_000);

/// How long the network is broken, in microseconds: so that peers are suspected, and seldom so that they are taken for gone.
const SHORT_CUT_US: (u64, u64) = (5_000, 200_000);
/// The same, so that they are gone for most of a run.
const LONG_CUT_US: (u64, u64) = (300_000, 900_000);

/// What can go wrong for a while.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Crash,
    Pause,
    Network,
    Clock,
    Disk,
    Full,
    Flip,
    Store,
}

impl World {
    /// Lets one thing go wrong and plans the next.
    pub(super) fn inject(&mut self) {
        if self.is_over {
            return;
        }
        let gap_us = self.fabric.random.between(2_000, self.fabric.plan.rates.fault_gap_us_max);
        self.fabric.plan_in(gap_us, Happening::Fault);
        self.look_at_stores();
        let faults = self.fabric.plan.faults;
        // Without exchanges a store that was lost never has again what it had.
        let replaces_stores =
            (faults.lost_stores || faults.restored_stores) && self.fabric.plan.repair_period_ms > 0;
        let kinds = [
            (Kind::Crash, faults.crashes),
            (Kind::Pause, faults.pauses),
            (Kind::Network, faults.partitions || faults.delay),
            (Kind::Clock, faults.clocks),
            (Kind::Disk, faults.storage_errors),
            (Kind::Flip, faults.bit_flips),
            (Kind::Flip, faults.bit_flips),
            (Kind::Flip, faults.bit_flips),
            (Kind::Full, faults.full_disks),
            (Kind::Store, replaces_stores),
        ];
        let kinds: Vec<Kind> = kinds.into_iter().filter(|(_, on)| *on).map(|(kind, _)| kind).collect();
        if kinds.is_empty() {
            return;
        }
        let kind = *self.fabric.random.pick(&kinds);
        let node = self.fabric.random.index(self.nodes.len());
        let (now_us, random) = (self.fabric.now_us, &mut self.fabric.random);
        let what = match kind {
            Kind::Crash => {
                let down_us_max = *random.pick(&[8_000, 150_000]);
                let down_us = random.between(1_000, down_us_max);
                if random.coin() {
                    self.nodes[node].crash(&mut self.fabric, down_us);
                } else {
                    let steps = random.below(40);
                    self.nodes[node].arm_crash(steps);
                }
                format!("node {node} crashes now or soon")
            }
            Kind::Pause => {
                let pause_us = random.between(2_000, 150_000);
                if self.nodes[node].is_paused {
                    return;
                }
                self.nodes[node].is_paused = true;
                self.fabric.plan_in(pause_us, Happening::NodeGoesOn(node));
                format!("node {node} pauses for {pause_us} us")
            }
            Kind::Network => {
                let (least_us, most_us) = if random.below(48) == 0 { LONG_CUT_US } else { SHORT_CUT_US };
                let lasts_us = random.between(least_us, most_us);
                let (number, what) =
                    self.fabric.network.break_something(faults.partitions, faults.delay, random);
                self.fabric.plan_in(lasts_us, Happening::Heals(number));
                what
            }
            Kind::Clock => {
                let reach_ms = *random.pick(&[10, 2_000, 100_000, TEN_YEARS_MS]);
                let offset_ms = random.between(0, 2 * reach_ms) as i64 - reach_ms as i64;
                let drift = random.below(20_001) as i64 - 10_000;
                self.nodes[node].set_clock(offset_ms, drift);
                format!("the clock of node {node} jumps to {offset_ms} ms and drifts {drift} ppm")
            }
            Kind::Disk => {
                let times = *random.pick(&[0, 1, 5, 20]);
                self.nodes[node].disk.fail(&self.fabric.plan.rates, times);
                format!("the disk of node {node} fails {times} times as often")
            }
            Kind::Full => {
                let lasts_us = random.between(2_000, 150_000);
                // Nearly full as often as full.
                let nearly = if lasts_us % 2 == 0 { "nearly " } else { "" };
                match lasts_us % 2 {
                    0 => self.nodes[node].disk.is_nearly_full(true),
                    _ => self.nodes[node].disk.is_full(true),
                }
                self.fabric.plan_in(lasts_us, Happening::DiskHasSpace(node));
                format!("the disk of node {node} is {nearly}full for {lasts_us} us")
            }
            Kind::Store => {
                let is_lost = faults.lost_stores && (!faults.restored_stores || random.coin());
                let what = if is_lost { self.lose_store(node) } else { self.restore_store(node) };
                match what {
                    Some(what) => what,
                    None => return,
                }
            }
            Kind::Flip if random.below(3) == 0 => {
                self.fabric.flips_after_write = Some(node);
                if self.fabric.plan.slow_callers {
                    let number = self.fabric.network.slow_caller(node, random);
                    self.fabric.plan_in(SLOW_CALLER_US, Happening::Heals(number));
                }
                return;
            }
            Kind::Flip => {
                let key = random.index(self.keys.len());
                let node = *random.pick(&self.keys[key].owners);
                match self.flip(node, key) {
                    Some(what) => what,
                    None => return,
                }
            }
        };
        self.fabric.faults += 1;
        self.fabric.trace.add(kind as u64);
        self.fabric.trace.line(now_us, || what);
    }

    /// Crashes a node, if it runs, and starts it soon.
    pub(super) fn crash_briefly(&mut self, node: usize) {
        if !self.is_over {
            let down_us = self.fabric.random.between(BRIEFLY_US.0, BRIEFLY_US.1);
            self.nodes[node].crash(&mut self.fabric, down_us);
            self.fabric.faults += 1;
        }
    }

    /// Flips a bit of a record that was just written, and may not have reached the other replicas.
    pub(super) fn flip_written(&mut self, node: usize, key: &[u8]) {
        let index = self.keys.iter().position(|candidate| candidate.storage_key.as_bytes() == key);
        if !self.is_over
            && let Some(what) = index.and_then(|index| self.flip(node, index))
        {
            self.fabric.faults += 1;
            self.fabric.trace.line(self.fabric.now_us, || what);
        }
    }

    /// Flips a bit of a stored record, if that leaves at most W-1 replicas of its partition damaged.
    fn flip(&mut self, node: usize, index: usize) -> Option<String> {
        self.look_at_stores();
        if !self.may_lack(node, index) {
            return None;
        }
        let key = &self.keys[index];
        let bit = self.fabric.random.bits();
        if !self.nodes[node].disk.flip(key.storage_key.as_bytes(), bit) {
            return None;
        }
        self.bits_flipped += 1;
        self.flips[index] += 1;
        Some(format!("a bit of key {index} flips on node {node}"))
    }

    /// Whether at most W-1 replicas of the partition of a key lack something if that node does.
    pub(super) fn may_lack(&self, node: usize, index: usize) -> bool {
        let key = &self.keys[index];
        let planned = &self.fabric.plan.buckets[key.bucket];
        let lacks = |owner: usize| self.is_behind(owner) || self.is_damaged(owner, index);
        let others = key.owners.iter().filter(|owner| **owner != node && lacks(**owner));
        others.count() + 1 < usize::from(planned.w_min).min(key.owners.len())
    }

    /// Whether a node has a record that is damaged, or recovering from damage, in the bucket and partition of that key.
    fn is_damaged(&self, node: usize, index: usize) -> bool {
        let key = &self.keys[index];
        self.keys.iter().enumerate().any(|(other, candidate)| {
            candidate.bucket == key.bucket
                && candidate.partition == key.partition
                && self
                    .cell(node, other, |cell| cell.is_none_or(|cell| cell.recovering.is_some()))
                    .unwrap_or(false)
        })
    }

    /// Shows what a node has stored of a key: a cell, or none for one that is damaged. Returns none if nothing is stored.
    pub(super) fn cell<T>(
        &self,
        node: usize,
        index: usize,
        look: impl FnOnce(Option<CellView<'_>>) -> T,
    ) -> Option<T> {
        let key = &self.keys[index];
        let mut bytes = Vec::new();
        if !matches!(self.nodes[node].disk.inner().get(key.storage_key.as_bytes(), &mut bytes), Ok(true)) {
            return None;
        }
        let bucket = self.fabric.plan.buckets[key.bucket].id;
        Some(look(CellView::decode(&bytes, key.storage_key.as_bytes(), bucket, &key.key).ok()))
    }
}
