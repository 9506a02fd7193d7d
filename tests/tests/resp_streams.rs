//! Random streams and pipelines for the front door for clients of Redis: short runs of what two programs of this package do for long.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kv_tests::held::Counting;
use kv_tests::process::within;
use kv_tests::scenario::resp_fuzz::{self, RespFuzz};
use kv_tests::scenario::resp_pipelines::{self, RespPipelines};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// However slow the machine is.
const AMPLE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_stream_means_the_same_however_it_is_cut_and_is_answered_request_by_request() {
    let options = RespFuzz { executions: 20_000, connect_each: 10, seed: 7, first: 0 };
    let seen = within(AMPLE, resp_fuzz::run(&options)).await.unwrap();
    assert!(seen.requests > 10_000 && seen.errors > 3_000 && seen.replies > 1_000, "{seen:?}");
}

#[tokio::test]
async fn a_pipeline_answers_as_if_each_command_had_waited_for_the_last() {
    let options = RespPipelines { commands: 20_000, seed: 7, first: 0 };
    within(AMPLE, resp_pipelines::run(&options)).await.unwrap();
}
