//! Real processes that are killed, restarted and given real data: short runs of what the programs of this package do for long.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kv_tests::process::within;
use kv_tests::scenario::crash_rounds::{self, CrashRounds};
use kv_tests::scenario::one_node_killed::{self, OneNodeKilled};
use kv_tests::scenario::real_data::{self, RealData};
use kv_tests::scenario::rolling_restart::{self, RollingRestart};
use kv_tests::scenario::slow_clients::{self, SlowClients};
use kv_tests::unihan;

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

#[tokio::test]
async fn what_was_acknowledged_is_there_after_all_nodes_were_killed_at_once() {
    let tally = within(AMPLE, crash_rounds::run(&CrashRounds { rounds: 3, writers: 8 })).await.unwrap();
    assert!(tally.applied > 0);
}

#[tokio::test]
async fn no_operation_fails_while_each_node_in_turn_is_restarted() {
    let tally = within(AMPLE, rolling_restart::run(&RollingRestart { loops: 1, writers: 8 })).await.unwrap();
    assert_eq!(tally.unsuccessful(), 0);
    assert!(tally.applied > 0 && tally.answered > 0);
}

#[tokio::test]
async fn the_others_go_on_without_a_killed_node_and_reading_brings_it_up_to_date() {
    let options = OneNodeKilled { rounds: 1, writers: 8, operations: 400 };
    let tally = within(AMPLE, one_node_killed::run(&options)).await.unwrap();
    assert!(tally.applied > 0);
}

#[tokio::test]
async fn clients_that_send_slowly_cost_little_and_hold_nobody_up() {
    let options = SlowClients { connections: 500, seconds: 3 };
    within(AMPLE, slow_clients::run(&options)).await.unwrap();
}

#[tokio::test]
async fn real_data_is_read_back_as_it_was_put_although_a_node_was_killed_meanwhile() {
    if unihan::files().is_empty() {
        let message = "not run: the Unihan database is missing: apt-get install unicode-data bzip2";
        assert!(std::env::var_os("KV_FULL_TESTS").is_none(), "{message}");
        eprintln!("{message}");
        return;
    }
    let done = within(AMPLE, real_data::run(&RealData { records: 5_000, sample: 5 })).await.unwrap();
    assert_eq!(done.records, 5_000);
}
