//! Faults with real processes, in short: what `--bin nemesis` does for long. One at a time, because each of them is about what happens when.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::time::Duration;

use kv_tests::executable;
use kv_tests::nemesis::command::print;
use kv_tests::nemesis::control::{self, Control};
use kv_tests::nemesis::leftovers;
use kv_tests::nemesis::run::{self, Extent};
use kv_tests::nemesis::schedule::Scenario;
use kv_tests::nemesis::world::World;
use kv_tests::process::within;

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

/// Waits until no other of these tests runs, in this process or another. They stay away until this is dropped.
fn alone() -> File {
    let file = File::create(executable::target().unwrap().join("nemesis.lock")).unwrap();
    file.lock().unwrap();
    file
}

/// Whether the machine allows what these tests need. If not, says so, and fails where nothing may be left out.
async fn is_allowed() -> bool {
    leftovers::remove();
    let Err(error) = World::probe().await else { return true };
    let message = format!("not run: {error:#}");
    assert!(std::env::var_os("KV_FULL_TESTS").is_none(), "{message}");
    eprintln!("{message}");
    false
}

fn extent(seconds: u64, seed: u64) -> Extent {
    Extent { seconds, seed, nodes: 5, quick: true, repair_period: 500 }
}

async fn keeps_its_promises(scenario: Scenario, seconds: u64, seed: u64) {
    let _alone = alone();
    if !is_allowed().await {
        return;
    }
    let extent = extent(seconds, seed);
    let outcome = within(AMPLE, run::run(&run::plan(scenario, &extent), &extent)).await.unwrap();
    print(&outcome);
    assert!(outcome.is_good(), "{scenario:?}, seed {seed}: {:?} {:?}", outcome.violations, outcome.troubles);
    assert!(outcome.figures.counts.applied > 0 && outcome.figures.counts.answered > 0);
}

async fn is_found(control: Control) {
    let _alone = alone();
    if is_allowed().await {
        within(AMPLE, control::check(control, &extent(4, 1))).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_lost_while_nodes_do_not_hear_each_other() {
    keeps_its_promises(Scenario::Partition, 7, 3).await;
}

#[tokio::test]
async fn nothing_is_lost_when_machines_lose_their_power() {
    keeps_its_promises(Scenario::PowerCut, 7, 2).await;
}

#[tokio::test]
async fn nothing_is_lost_when_everything_goes_wrong_at_once() {
    keeps_its_promises(Scenario::Everything, 10, 4).await;
}

#[tokio::test]
async fn the_judge_finds_what_last_write_wins_discards() {
    is_found(Control::LastWriteWins).await;
}

#[tokio::test]
async fn the_judge_finds_what_disks_that_lie_lose_with_their_power() {
    is_found(Control::LyingDisks).await;
}

#[tokio::test]
async fn the_judge_finds_old_answers_of_weak_quorums() {
    is_found(Control::WeakQuorums).await;
}

#[tokio::test]
async fn keys_that_nobody_reads_stay_different_without_exchanges() {
    is_found(Control::NoExchange).await;
}

#[tokio::test]
async fn the_judge_finds_old_answers_if_stand_ins_pass_for_owners() {
    is_found(Control::StandIns).await;
}
