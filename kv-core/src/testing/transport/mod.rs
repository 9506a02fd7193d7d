//! Conformance suite of the transport plug-in.
//!
//! An implementer writes a [`TransportNetwork`] that makes connected transports of the kind to test, and runs
//! `check(|| MyNetwork::new()).await.assert_passed()` on the runtime that the transports need. Every bullet of the contract of
//! [`Transport`](crate::transport::Transport) has a case of its own, run against a fresh network.

pub mod network;
pub mod report;

mod cases;
mod concurrency;
mod handler;
mod stage;

pub use network::TransportNetwork;

use std::time::Duration;

use concurrency::first;
use report::{Case, Outcome, Report};
use stage::Stage;

/// The bullets in their order: id and what each asks, in a few words.
pub const BULLETS: &[(&str, &str)] = &[
    ("T-01", "frames and answers arrive byte for byte"),
    ("T-02", "many calls are under way at a time and each gets its own answer"),
    ("T-03", "a call ends by its deadline"),
    ("T-04", "the handler is told the true sender"),
    ("T-05", "an unreachable peer is NotSent, and is reached again without help"),
    ("T-06", "a slow handler delays nobody else"),
    ("T-07", "a frame above the bound is refused and harms no other call"),
    ("T-08", "the handler gets a request at most once"),
    ("T-09", "after shut_down nothing is sent and nothing hangs"),
    ("T-10", "a request that has arrived is carried out although its caller has gone"),
];

/// Longest time that one case may take before it counts as hanging.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

/// Runs every case, each against a network of its own.
pub async fn check<N: TransportNetwork>(network: impl Fn() -> N) -> Report {
    let ids: Vec<&str> = BULLETS.iter().map(|(id, _)| *id).collect();
    check_bullets(&ids, network).await
}

/// Runs the cases of some bullets, each against a network of its own.
pub async fn check_bullets<N: TransportNetwork>(ids: &[&str], network: impl Fn() -> N) -> Report {
    let mut report = Report { suite: "Transport".into(), cases: Vec::new() };
    for (id, name) in BULLETS.iter().filter(|(id, _)| ids.contains(id)) {
        let outcome = match run(id, network()).await {
            Ok(()) => Outcome::Passed,
            Err(why) => Outcome::Failed(why),
        };
        report.cases.push(Case { id: (*id).into(), name: (*name).into(), outcome });
    }
    report
}

async fn run<N: TransportNetwork>(id: &str, network: N) -> Result<(), String> {
    let stage = Stage::set(std::sync::Arc::new(network)).await?;
    let outcome = first(cases::run(id, &stage), stage.network.sleep(CASE_TIME_MAX)).await;
    stage.clear().await;
    outcome.unwrap_or_else(|| Err(format!("not over after {CASE_TIME_MAX:?}")))
}
