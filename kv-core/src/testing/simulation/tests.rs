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
    }
}
