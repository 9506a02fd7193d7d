use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use kv_core::testing::simulation::{Report, Simulation};

use crate::Arguments;
use crate::simulate::hunt::by_name;

/// Sums over all runs.
#[derive(Debug, Default)]
struct Sums {
    runs: u64,
    violations: u64,
    operations: u64,
    operations_min: u64,
    clients_min: usize,
    succeeded: u64,
    checked: u64,
    simulated_us: u64,
    faults: u64,
    messages: u64,
    flips: u64,
    stores: u64,
    gap_us: u64,
    rtt_us: u64,
    busy_s: f64,
}

/// Most violations of one seed that are printed.
const PRINTED_MAX: usize = 4;

/// Runs the seeds, prints the figures, and says whether no promise was broken.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let next = AtomicU64::new(arguments.start);
    let end = arguments.start + arguments.seeds;
    let sums = Mutex::new(Sums { operations_min: u64::MAX, clients_min: usize::MAX, ..Sums::default() });
    println!("seeds {} to {}", arguments.start, end.saturating_sub(1));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                kv_core::mutants::choose(by_name(arguments.mutant.as_deref()));
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let start = busy_s();
                    let report = Simulation::new(arguments.config()).seed(seed).run();
                    let busy_s = busy_s() - start;
                    if let Ok(mut sums) = sums.lock() {
                        sums.add(arguments, &report, busy_s);
                    }
                }
            });
        }
    });
    let Ok(sums) = sums.into_inner() else { return false };
    sums.print();
    sums.violations == 0
}

impl Sums {
    fn add(&mut self, arguments: &Arguments, report: &Report, busy_s: f64) {
        self.runs += 1;
        self.violations += u64::from(!report.violations.is_empty());
        self.operations += report.operations;
        self.operations_min = self.operations_min.min(report.operations);
        self.clients_min = self.clients_min.min(report.clients);
        self.succeeded += report.operations_succeeded;
        self.checked += report.reads_checked + report.writes_checked;
        self.simulated_us += report.simulated_us;
        self.faults += report.faults_injected;
        self.messages += report.message_faults;
        self.flips += report.bits_flipped;
        self.stores += report.stores_replaced;
        self.gap_us += report.mean_key_gap_us;
        self.rtt_us += report.mean_rtt_us;
        self.busy_s += busy_s;
        if !report.violations.is_empty() {
            println!(
                "seed {}: {} violations; replay: {}",
                report.seed,
                report.violations.len(),
                arguments.replay(report.seed)
            );
            for violation in report.violations.iter().take(PRINTED_MAX) {
                println!("  {violation}");
            }
        }
        if self.runs.is_multiple_of(10_000) {
            println!("{} seeds, {} with violations", self.runs, self.violations);
        }
    }

    fn print(&self) {
        let runs = self.runs.max(1) as f64;
        let simulated_s = self.simulated_us as f64 / 1e6;
        println!("seeds: {}, with violations: {}", self.runs, self.violations);
        println!(
            "client operations a seed: at least {}, mean {:.0}, of which {:.0} % succeeded",
            self.operations_min,
            self.operations as f64 / runs,
            100.0 * self.succeeded as f64 / self.operations.max(1) as f64
        );
        println!("clients at a time: at least {}", self.clients_min);
        println!(
            "client operations checked per second and core: {:.0} (answers judged: {})",
            self.operations as f64 / self.busy_s,
            self.checked
        );
        println!(
            "mean gap between operations on one key: {:.2} ms; network round trip: {:.2} ms",
            self.gap_us as f64 / runs / 1e3,
            self.rtt_us as f64 / runs / 1e3
        );
        println!(
            "faults per simulated second: {:.1} (and {:.1} messages lost or doubled); bits flipped: {}; stores replaced: {}; simulated: {simulated_s:.0} s",
            self.faults as f64 / simulated_s,
            self.messages as f64 / simulated_s,
            self.flips,
            self.stores
        );
    }
}

/// Seconds for which this thread has run on a core, where the system tells (Linux); otherwise seconds that have passed.
fn busy_s() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_core_ns = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    on_core_ns.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |ns| ns / 1e9)
}
