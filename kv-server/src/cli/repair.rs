//! `kv repair`.

use std::time::Duration;

use clap::Args;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::wire::{ClusterInfo, RepairStatus};
use serde_json::{Value, json};

use super::describe::error_json;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::text::{Table, format_count};
use crate::transfer::Progress;

/// How often members are asked how they are getting on.
const POLL: Duration = Duration::from_millis(150);

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    members: Members,
}

/// Which members a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct Members {
    /// Only this member, by its id or address; may be repeated
    #[arg(long = "node", value_name = "NODE")]
    nodes: Vec<String>,
}

impl Members {
    /// Those members, each with its address.
    pub(super) fn of(&self, info: &ClusterInfo) -> Result<Vec<(NodeId, String)>, Failure> {
        let Some(layout) = &info.layout else {
            return Err(Failure::Invalid("there is no cluster yet: make one with kv cluster init".into()));
        };
        let all: Vec<(NodeId, String)> =
            layout.members().iter().map(|member| (member.id, member.address.clone())).collect();
        if self.nodes.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            let is_it = |(id, address): &&(NodeId, String)| id.to_string() == *name || address == name;
            all.iter().find(is_it).cloned().ok_or_else(|| {
                Failure::Invalid(format!("there is no member '{name}': kv status shows those that there are"))
            })
        };
        self.nodes.iter().map(find).collect()
    }
}

/// What a round of one member came to.
struct Report {
    node: NodeId,
    result: Result<Sums, Error>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    exchanges: u64,
    failures: u64,
    repaired: u64,
    failed: u64,
}

impl Sums {
    fn between(before: RepairStatus, after: RepairStatus) -> Self {
        Sums {
            exchanges: after.exchanges.saturating_sub(before.exchanges),
            failures: after.failures.saturating_sub(before.failures),
            repaired: after.keys_repaired.saturating_sub(before.keys_repaired),
            failed: after.keys_failed.saturating_sub(before.keys_failed),
        }
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let members = arguments.members.of(&session.client.cluster().await?)?;
    let mut progress = Progress::new("repaired", None, false, output.is_json());
    let mut reports = Vec::with_capacity(members.len());
    let mut keys = 0;
    // One after the other: a node exchanges both ways, so that the next finds less to do.
    for (node, address) in members {
        let result = repair(session, &address, |repaired| progress.set(0, keys + repaired)).await;
        keys += result.as_ref().map_or(0, |sums| sums.repaired);
        reports.push(Report { node, result });
    }
    progress.end();
    let is_well =
        |report: &Report| report.result.as_ref().is_ok_and(|sums| sums.failures == 0 && sums.failed == 0);
    let all_well = reports.iter().all(is_well);
    output.say(|| text(&reports), || json(&reports))?;
    Ok(if all_well { Exit::Done } else { Exit::Unavailable })
}

/// Has one member go through a round, and waits until it is over.
async fn repair(session: &Session, address: &str, mut repaired: impl FnMut(u64)) -> Result<Sums, Error> {
    let before = session.client.status(address).await?;
    let round = session.client.repair(address).await?;
    loop {
        let now = session.client.status(address).await?;
        if now.incarnation != before.incarnation || now.uptime_s < before.uptime_s {
            let message = "it was started again meanwhile: repeat the repair";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let (sums, now) = (Sums::between(before.repair, now.repair), now.repair);
        repaired(sums.repaired);
        if now.rounds_ended >= round {
            return Ok(sums);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn text(reports: &[Report]) -> String {
    let mut table = Table::new(["NODE", "COMPARED", "KEYS REPAIRED", "NOT COMPARED", "KEYS NOT REPAIRED"]);
    let mut notes = String::new();
    for Report { node, result } in reports {
        match result {
            Ok(sums) => {
                let counts = [sums.exchanges, sums.repaired, sums.failures, sums.failed].map(format_count);
                let [exchanges, repaired, failures, failed] = counts;
                table.row([node.to_string(), exchanges, repaired, failures, failed]);
                if sums.failures > 0 || sums.failed > 0 {
                    notes.push_str(&format!(
                        "\nnode {node}: not all could be compared: look at kv status for members that are gone, and repeat it"
                    ));
                }
            }
            Err(error) => {
                let dash = || "-".to_string();
                table.row([node.to_string(), dash(), dash(), dash(), dash()]);
                notes.push_str(&format!("\nnode {node}: {error}"));
            }
        }
    }
    format!("{table}{notes}")
}

fn json(reports: &[Report]) -> Value {
    let member = |Report { node, result }: &Report| match result {
        Ok(sums) => json!({
            "node": node,
            "compared": sums.exchanges,
            "not_compared": sums.failures,
            "keys_repaired": sums.repaired,
            "keys_not_repaired": sums.failed,
        }),
        Err(error) => json!({ "node": node, "error": error_json(error) }),
    };
    json!({ "members": reports.iter().map(member).collect::<Vec<_>>() })
}
