use crate::bucket::{BucketProperties, BucketTable, Quorum, QuorumMode};
use crate::causality::Stamp;
use crate::ids::BucketId;
use crate::limits::Limits;
use crate::testing::simulation::random::Random;
use crate::testing::simulation::{Faults, SimulationConfig};

/// Longest time that a slow message takes, in microseconds.
const SLOW_US_MAX: u64 = 60_000;
/// The same where it is to meet another epoch.
const LATE_US_MAX: u64 = 600_000;

/// What one seed comes to: the size of everything, and how often what goes wrong.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) clients: usize,
    pub(super) keys: usize,
    pub(super) operations: usize,
    pub(super) buckets: Vec<PlannedBucket>,
    pub(super) faults: Faults,
    /// Whether the node whose next own record is to be damaged calls its peers slowly.
    pub(super) slow_callers: bool,
    pub(super) rates: Rates,
    /// How often nodes compare what they hold, in milliseconds; 0 for never.
    pub(super) repair_period_ms: u64,
}

/// A bucket, and which quorums clients ask of it.
#[derive(Debug)]
pub(super) struct PlannedBucket {
    pub(super) name: &'static str,
    pub(super) id: BucketId,
    pub(super) n: u8,
    /// The lowest W that any put of the run asks for.
    pub(super) w_min: u8,
    pub(super) by_stamp: bool,
    pub(super) mode: QuorumMode,
}

/// How often things happen: times in a million where nothing else is said.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) loss: u32,
    pub(super) duplication: u32,
    pub(super) slow: u32,
    /// How much longer a slow message takes than others, at most, in microseconds.
    pub(super) slow_us_max: u64,
    /// Longest gap between two faults that last, in microseconds.
    pub(super) fault_gap_us_max: u64,
    pub(super) not_written: u32,
    pub(super) commit_unknown: u32,
    pub(super) read_error: u32,
    /// How long a commit takes, in microseconds.
    pub(super) commit_us_max: u64,
    pub(super) gets: u32,
    pub(super) deletes: u32,
    pub(super) blind_puts: u32,
    pub(super) overwrites: u32,
    /// Puts of values that expire.
    pub(super) expiring: u32,
    /// Changes of an expiry alone.
    pub(super) changes: u32,
    /// Puts of one key that have an id and are tried again when nobody knows how they ended.
    pub(super) retried: u32,
}

impl Plan {
    pub(super) fn draw(config: &SimulationConfig, random: &mut Random) -> Self {
        let nodes = config.nodes.unwrap_or_else(|| *random.pick(&[3, 3, 3, 4, 5, 5, 6, 7]));
        let clients = config.clients.unwrap_or_else(|| random.between(16, 32) as usize);
        let focus = if config.swarm { *random.pick(&FOCI) } else { None };
        let faults = match focus {
            Some(focus) => focus.faults(config.faults),
            None if config.swarm => subset(config.faults, random),
            None => config.faults,
        };
        let mut rates = rates(faults, random);
        if let Some(focus) = focus {
            focus.sharpen(&mut rates);
        }
        let mut repair_period_ms = *random.pick(&[0, 40, 100, 300]);
        if let Some(Focus::Stores | Focus::Epochs) = focus {
            repair_period_ms = *random.pick(&[10, 20, 40]);
        }
        let (fewest, most) = if let Some(Focus::Epochs) = focus { (16, 32) } else { (4, 6) };
        let keys = config.keys.unwrap_or_else(|| random.between(fewest, most) as usize);
        let replaces_stores = faults.lost_stores || faults.restored_stores;
        Plan {
            nodes,
            clients,
            keys,
            operations: config.operations,
            buckets: buckets(nodes, replaces_stores && repair_period_ms > 0, random),
            slow_callers: if focus.is_some() { config.faults.delay } else { faults.delay },
            faults,
            rates,
            repair_period_ms,
        }
    }

    /// The bucket table of the run.
    pub(super) fn table(&self, limits: &Limits) -> BucketTable {
        let mut table = BucketTable::default();
        for bucket in &self.buckets {
            let resolver = if bucket.by_stamp { "last_write_wins" } else { "siblings" };
            let properties = BucketProperties {
                n: bucket.n,
                w: Quorum::Majority,
                w_min: bucket.w_min,
                resolver: resolver.into(),
                quorum: bucket.mode,
                ..BucketProperties::default()
            };
            if let Err(error) = table.set(bucket.name, properties, bucket.id, Stamp(1), limits) {
                panic!("the plan made a bucket that is refused: {error}");
            }
        }
        table
    }
}

/// A few faults that only together, and often, bring about what is rare otherwise.
#[derive(Debug, Clone, Copy)]
enum Focus {
    /// Records are damaged while what was put into them is on its way from a slow caller to the others; else the network is quick.
    Damage,
    /// Copies of messages meet another life of the receiver.
    Restarts,
    /// Stores are lost or put back while exchanges go on.
    Stores,
    /// Many keys of which some stay deleted for some epochs, and messages that are as late.
    Epochs,
}

/// What a seed draws from.
const FOCI: [Option<Focus>; 8] = [
    Some(Focus::Damage),
    Some(Focus::Restarts),
    Some(Focus::Stores),
    Some(Focus::Epochs),
    None,
    None,
    None,
    None,
];

impl Focus {
    fn faults(self, allowed: Faults) -> Faults {
        let quiet = Faults::none();
        match self {
            Focus::Damage => Faults { bit_flips: allowed.bit_flips, ..quiet },
            Focus::Restarts => Faults {
                duplication: allowed.duplication,
                reordering: allowed.reordering,
                crashes: allowed.crashes,
                ..quiet
            },
            Focus::Stores | Focus::Epochs => Faults {
                delay: allowed.delay,
                duplication: allowed.duplication,
                reordering: allowed.reordering,
                partitions: allowed.partitions,
                lost_stores: allowed.lost_stores,
                restored_stores: allowed.restored_stores,
                ..quiet
            },
        }
    }

    fn sharpen(self, rates: &mut Rates) {
        rates.fault_gap_us_max = 20_000;
        match self {
            Focus::Restarts => rates.duplication *= 4,
            Focus::Epochs => {
                rates.fault_gap_us_max = 100_000;
                rates.deletes = 400_000;
                rates.slow_us_max = LATE_US_MAX;
            }
            Focus::Damage | Focus::Stores => {}
        }
    }
}

fn subset(faults: Faults, random: &mut Random) -> Faults {
    let mut keep = |on: bool| on && random.below(10) < 7;
    Faults {
        delay: keep(faults.delay),
        loss: keep(faults.loss),
        duplication: keep(faults.duplication),
        reordering: keep(faults.reordering),
        partitions: keep(faults.partitions),
        crashes: keep(faults.crashes),
        pauses: keep(faults.pauses),
        clocks: keep(faults.clocks),
        storage_errors: keep(faults.storage_errors),
        bit_flips: keep(faults.bit_flips),
        lost_stores: keep(faults.lost_stores),
        restored_stores: keep(faults.restored_stores),
        full_disks: keep(faults.full_disks),
    }
}

fn buckets(nodes: usize, replaces_stores: bool, random: &mut Random) -> Vec<PlannedBucket> {
    let mut n = || *random.pick(&[3, 3, 3, 3, 2, 4, 5]);
    let sizes: Vec<u8> = (0..3).map(|_| n().min(nodes as u8)).collect();
    let majority = |n: u8| n / 2 + 1;
    let mut mode = || *random.pick(&[QuorumMode::Strict, QuorumMode::Sloppy]);
    vec![
        PlannedBucket {
            name: "strict",
            id: BucketId(10),
            n: sizes[0],
            w_min: majority(sizes[0]),
            by_stamp: false,
            mode: QuorumMode::Strict,
        },
        PlannedBucket {
            name: "stamped",
            id: BucketId(11),
            n: sizes[1],
            w_min: majority(sizes[1]),
            by_stamp: true,
            mode: mode(),
        },
        PlannedBucket {
            name: "loose",
            id: BucketId(12),
            n: sizes[2],
            // What one node alone has acknowledged may go with its store.
            w_min: if replaces_stores { 2.min(sizes[2]) } else { 1 },
            by_stamp: false,
            mode: mode(),
        },
    ]
}

fn rates(faults: Faults, random: &mut Random) -> Rates {
    let mut up_to = |on: bool, most: u64| if on { random.below(most) as u32 } else { 0 };
    let mut rates = Rates {
        loss: up_to(faults.loss, 30_000),
        duplication: up_to(faults.duplication, 100_000),
        slow: up_to(faults.delay, 30_000),
        not_written: up_to(faults.storage_errors, 20_000),
        commit_unknown: up_to(faults.storage_errors, 3_000),
        read_error: up_to(faults.storage_errors, 10_000),
        ..Rates::default()
    };
    rates.slow_us_max = SLOW_US_MAX;
    rates.fault_gap_us_max = *random.pick(&[40_000, 100_000, 200_000]);
    rates.commit_us_max = *random.pick(&[600, 2_000, 8_000]);
    rates.gets = random.between(300_000, 550_000) as u32;
    rates.deletes = *random.pick(&[0, 30_000, 120_000, 200_000]);
    rates.blind_puts = random.between(20_000, 250_000) as u32;
    rates.overwrites = random.between(50_000, 400_000) as u32;
    rates.expiring = *random.pick(&[0, 0, 50_000, 200_000]);
    rates.changes = *random.pick(&[0, 50_000, 200_000]);
    rates.retried = *random.pick(&[0, 0, 300_000, 1_000_000]);
    rates
}
