//! `kv status`.

use std::time::Duration;

use kv_core::error::Error;
use kv_core::ids::NodeId;
use kv_core::wire::{ClusterInfo, NodeStatus};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::describe::{degraded, error_json, layout_line};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::text::{Table, format_count, format_duration};

/// One member, as it sees itself.
struct Report {
    id: Option<NodeId>,
    address: String,
    status: Result<NodeStatus, Error>,
}

pub(super) async fn run(session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    let info = session.client.cluster().await?;
    let reports = ask_all(session, &info).await;
    let is_well = |report: &Report| report.status.as_ref().is_ok_and(|status| status.trouble.is_empty());
    let all_well = info.layout.is_some() && reports.iter().all(is_well);
    output.say(|| text(&info, &reports), || json(&info, &reports))?;
    Ok(if all_well { Exit::Done } else { Exit::Unavailable })
}

/// Asks every member, or the servers that were named if there is no cluster yet.
async fn ask_all(session: &Session, info: &ClusterInfo) -> Vec<Report> {
    let members: Vec<(Option<NodeId>, String)> = match &info.layout {
        Some(layout) => {
            layout.members().iter().map(|member| (Some(member.id), member.address.clone())).collect()
        }
        None => session.servers.iter().map(|server| (None, server.clone())).collect(),
    };
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
    let mut reports: Vec<Report> = reports.into_iter().map(|(_, report)| report).collect();
    if info.layout.is_none() {
        // Of servers that are not known to be members only those that are there are worth a line; one has answered already.
        reports.retain(|report| report.status.is_ok());
    }
    reports
}

fn text(info: &ClusterInfo, reports: &[Report]) -> String {
    let head = match &info.layout {
        Some(layout) => layout_line(layout),
        None => "no cluster yet: make one with kv cluster init".into(),
    };
    let mut table =
        Table::new(["NODE", "ADDRESS", "STATE", "UP", "LAYOUT", "ENTRIES", "ON DISK", "RUNNING", "PEERS"]);
    let mut notes: Vec<String> = info.layout.as_ref().and_then(degraded).into_iter().collect();
    for report in reports {
        let dash = || "-".to_string();
        let id = report.id.map_or_else(dash, |id| id.to_string());
        let address = report.address.clone();
        match &report.status {
            Ok(status) => {
                let reached = status.peers.iter().filter(|(_, reached)| *reached != Some(false)).count();
                table.row([
                    status.node.to_string(),
                    address,
                    if status.trouble.is_empty() { "up" } else { "in trouble" }.into(),
                    format_duration(Duration::from_secs(status.uptime_s)),
                    status.layout.to_string(),
                    format_count(status.storage.entries),
                    mebibytes(status.storage.bytes_used),
                    status.operations.to_string(),
                    format!("{reached}/{}", status.peers.len()),
                ]);
                if !status.trouble.is_empty() {
                    notes.push(format!("node {}: {}", status.node, status.trouble));
                }
            }
            Err(error) => {
                let state = "unreachable".to_string();
                table.row([id.clone(), address, state, dash(), dash(), dash(), dash(), dash(), dash()]);
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

fn json(info: &ClusterInfo, reports: &[Report]) -> Value {
    let members = reports.iter().map(|report| match &report.status {
        Ok(status) => json!({ "node": status.node, "address": report.address, "status": status }),
        Err(error) => json!({ "node": report.id, "address": report.address, "error": error_json(error) }),
    });
    json!({
        "cluster": info.layout.as_ref().map(|layout| layout.cluster()),
        "layout": info.layout.as_ref().map(|layout| layout.version()),
        "degraded": info.layout.as_ref().and_then(degraded),
        "members": members.collect::<Vec<_>>(),
    })
}
