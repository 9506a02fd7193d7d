use super::*;

fn run(seed: u64) -> Report {
    Simulation::new(SimulationConfig::default()).seed(seed).run()
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let reports = [run(3), run(3), run(4)];
    assert_eq!(reports[0].trace_hash, reports[1].trace_hash);
    assert_ne!(reports[0].trace_hash, reports[2].trace_hash);
}

#[test]
fn fifty_seeds_with_all_faults_keep_every_promise() {
    for seed in 0..50 {
        let report = run(seed);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        assert!(report.operations >= 1_000 && report.clients >= 8, "seed {seed}: {report:?}");
    }
}

#[test]
fn faults_happen() {
    let reports: Vec<Report> = (0..20).map(run).collect();
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    assert!(sum(|report| report.faults_injected) * 1_000_000 > sum(|report| report.simulated_us));
    assert!(sum(|report| report.message_faults) > 0 && sum(|report| report.bits_flipped) > 0);
    assert!(sum(|report| report.stores_replaced) > 0);
    // Some have many keys, on purpose.
    let close = reports.iter().filter(|report| report.mean_key_gap_us < 2 * report.mean_rtt_us);
    let gaps: Vec<u64> = close.map(|report| report.mean_key_gap_us).collect();
    assert!(gaps.len() > reports.len() / 2);
    // While the network is cut for long, clients wait.
    assert!(gaps.iter().sum::<u64>() * 5 < gaps.len() as u64 * reports[0].mean_rtt_us * 6);
    assert!(sum(|report| report.operations_succeeded) > sum(|report| report.operations) / 2);
}

#[test]
fn without_faults_every_operation_succeeds() {
    let config = SimulationConfig { faults: Faults::none(), ..SimulationConfig::default() };
    let report = Simulation::new(config).seed(1).run();
    assert_eq!(report.violations, []);
    assert_eq!((report.faults_injected, report.message_faults), (0, 0));
}

#[cfg(feature = "mutants")]
#[test]
fn a_broken_node_is_found() {
    use crate::mutants::{Mutant, choose};
    for mutant in [Mutant::ForgetsW, Mutant::MergeOverwrites, Mutant::BlindPutReplaces] {
        choose(Some(mutant));
        let found = (0..10).any(|seed| !run(seed).violations.is_empty());
        choose(None);
        assert!(found, "{mutant:?} passes");
    }
}

/// A storage that forgets what it was given: what somebody's own composition may bring along.
mod own_storage {
    use std::sync::Arc;

    use super::*;
    use crate::storage::{
        Batch, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
        StorageStats,
    };
    use crate::testing::storage::MemoryStorage;

    #[derive(Debug, Default)]
    struct ForgetfulStorage {
        inner: MemoryStorage,
        writes: std::sync::atomic::AtomicU64,
    }

    impl Storage for ForgetfulStorage {
        fn capabilities(&self) -> StorageCapabilities {
            self.inner.capabilities()
        }

        fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
            self.inner.get(key, value)
        }

        fn get_many(
            &self,
            keys: &[&[u8]],
            visit: &mut dyn FnMut(usize, Option<&[u8]>),
        ) -> Result<(), StorageError> {
            self.inner.get_many(keys, visit)
        }

        fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
            self.inner.scan(range, page)
        }

        fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
            let number = self.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number > 10 && number.is_multiple_of(8) { Ok(()) } else { self.inner.write(batch, durability) }
        }

        fn sync(&self) -> Result<(), CommitError> {
            self.inner.sync()
        }

        fn stats(&self) -> Result<StorageStats, StorageError> {
            self.inner.stats()
        }
    }

    #[test]
    fn a_storage_that_forgets_is_found() {
        let config = SimulationConfig { faults: Faults::none(), ..SimulationConfig::default() };
        let simulation = Simulation::new(config).with_storage(|_| Arc::new(ForgetfulStorage::default()));
        assert!(!simulation.seed(1).run().violations.is_empty());
    }
}
