//! `kv status`.

mod partitions;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use kv_core::error::Error;
use kv_core::ids::NodeId;
use kv_core::layout::Layout;
use kv_core::membership::Liveness;
use kv_core::wire::{ClusterInfo, NodeStatus, PeerStatus};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::describe::{degraded, error_json, layout_line};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::say;
use crate::exit::Exit;
use crate::text::{Table, format_count, format_duration, parse_duration};

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Show it again and again, every 2s unless told otherwise
    #[arg(long, short = 'w', value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2s", value_parser = parse_duration)]
    watch: Option<Duration>,
    /// Show how each partition of that bucket is getting on instead: its epoch, what it lacks, and when it was compared last with whom
    #[arg(long, value_name = "BUCKET")]
    partitions: Option<String>,
}

/// Back to the first corner of a terminal, with nothing left of what was there.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J\x1b[3J";

/// One member, as it sees itself.
struct Report {
    id: Option<NodeId>,
    address: String,
    status: Result<NodeStatus, Error>,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let Some(pause) = arguments.watch else { return look(arguments, session, output, b"").await };
    let clear = if output.is_json() || !std::io::stdout().is_terminal() { &b""[..] } else { CLEAR };
    loop {
        match look(arguments, session, output, clear).await {
            Err(Failure::Output(error)) => return Err(error.into()),
            // The cluster may come back.
            Err(failure) => drop(failure.report(output)),
            Ok(_) => {}
        }
        tokio::time::sleep(pause).await;
    }
}

async fn look(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
    clear: &[u8],
) -> Result<Exit, Failure> {
    match &arguments.partitions {
        Some(bucket) => partitions::show(bucket, session, output, clear).await,
        None => show(session, output, clear).await,
    }
}

async fn show(session: &Session, output: &mut Output, clear: &[u8]) -> Result<Exit, Failure> {
    let (layout, reports) = match session.client.cluster().await {
        Ok(ClusterInfo { layout: Some(layout), .. }) => {
            let members = layout.members().iter().map(|member| (Some(member.id), member.address.clone()));
            let reports = ask_all(session, members.collect()).await;
            (Some(layout), reports)
        }
        // Nodes without a cluster yet are worth looking at too: those of the named servers that are there.
        unknown => {
            let mut reports =
                ask_all(session, session.servers.iter().map(|server| (None, server.clone())).collect()).await;
            reports.retain(|report| report.status.is_ok());
            if let (Err(error), true) = (unknown, reports.is_empty()) {
                return Err(error.into());
            }
            (None, reports)
        }
    };
    let is_well = |report: &Report| report.status.as_ref().is_ok_and(|status| status.trouble.is_empty());
    let all_well = layout.is_some() && reports.iter().all(is_well);
    say(clear)?;
    output.say(|| text(layout.as_ref(), &reports), || json(layout.as_ref(), &reports))?;
    Ok(if all_well { Exit::Done } else { Exit::Unavailable })
}

async fn ask_all(session: &Session, members: Vec<(Option<NodeId>, String)>) -> Vec<Report> {
    let mut asking = JoinSet::new();
    for (index, (id, address)) in members.into_iter().enumerate() {
        let client = session.client.clone();
        asking.spawn(async move {
            let status = client.status(&address).await;
            (index, Report { id, address, status })
        });
    }
    let mut reports = asking.join_all().await;
    reports.sort_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn text(layout: Option<&Layout>, reports: &[Report]) -> String {
    let head = match layout {
        Some(layout) => layout_line(layout),
        None => "no cluster yet: make one with kv cluster init".into(),
    };
    let mut table = Table::new([
        "NODE", "ADDRESS", "STATE", "UP", "LAYOUT", "ENTRIES", "ON DISK", "RUNNING", "COPIES", "PEERS",
    ]);
    let mut notes: Vec<String> = layout.and_then(degraded).into_iter().collect();
    for report in reports {
        let dash = || "-".to_string();
        let id = report.id.map_or_else(dash, |id| id.to_string());
        let address = report.address.clone();
        match &report.status {
            Ok(status) => {
                let gone = |peer: &&PeerStatus| matches!(peer.liveness, Liveness::Suspected | Liveness::Down);
                let gone: Vec<&PeerStatus> = status.peers.iter().filter(gone).collect();
                let reached = status.peers.len() - gone.len();
                let copies: u64 = status.peers.iter().map(|peer| peer.copies).sum();
                table.row([
                    status.node.to_string(),
                    address,
                    if status.trouble.is_empty() { "up" } else { "in trouble" }.into(),
                    format_duration(Duration::from_secs(status.uptime_s)),
                    status.layout.to_string(),
                    format_count(status.storage.entries),
                    mebibytes(status.storage.bytes_used),
                    status.operations.to_string(),
                    format_count(copies),
                    format!("{reached}/{}", status.peers.len()),
                ]);
                for peer in gone {
                    notes.push(format!(
                        "node {}: node {} is {}",
                        status.node,
                        peer.node,
                        peer.liveness.name()
                    ));
                }
                for peer in status.peers.iter().filter(|peer| peer.copies > 0) {
                    let (copies, size) = (format_count(peer.copies), mebibytes(peer.copies_bytes));
                    notes.push(format!(
                        "node {}: keeps {copies} copies ({size}) for node {}",
                        status.node, peer.node
                    ));
                }
                if status.epochs.recovering > 0 {
                    let (lacking, all) = (status.epochs.recovering, status.epochs.partitions);
                    notes.push(format!(
                        "node {}: lacks data in {} of {} partitions, which do not count in reads until it has compared them with the others",
                        status.node,
                        format_count(lacking),
                        format_count(all)
                    ));
                }
                if !status.trouble.is_empty() {
                    notes.push(format!("node {}: {}", status.node, status.trouble));
                }
            }
            Err(error) => {
                let state = "unreachable".to_string();
                table.row([
                    id.clone(),
                    address,
                    state,
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                    dash(),
                ]);
                notes.push(format!("node {id}: {error}"));
            }
        }
    }
    let notes: String = notes.iter().map(|note| format!("\n{note}")).collect();
    format!("{head}\n\n{table}{notes}")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn json(layout: Option<&Layout>, reports: &[Report]) -> Value {
    let members = reports.iter().map(|report| match &report.status {
        Ok(status) => json!({ "node": status.node, "address": report.address, "status": status }),
        Err(error) => json!({ "node": report.id, "address": report.address, "error": error_json(error) }),
    });
    json!({
        "cluster": layout.map(Layout::cluster),
        "layout": layout.map(Layout::version),
        "degraded": layout.and_then(degraded),
        "members": members.collect::<Vec<_>>(),
    })
}
