//! `kv status --partitions`.

use std::time::Duration;

use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::wire::PartitionStatus;
use serde_json::{Value, json};

use crate::cli::describe::error_json;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::console::say;
use crate::exit::Exit;
use crate::text::{Table, format_duration};

/// The partitions of one member.
struct Report {
    node: NodeId,
    partitions: Result<Vec<PartitionStatus>, Error>,
}

pub(super) async fn show(
    bucket: &str,
    session: &Session,
    output: &mut Output,
    clear: &[u8],
) -> Result<Exit, Failure> {
    let info = session.client.cluster().await?;
    let Some(id) = info.buckets.get(bucket).map(|(id, _)| id) else {
        let message = format!("there is no bucket '{bucket}'; kv bucket list shows those there are");
        return Err(Error::new(ErrorKind::UnknownBucket, message).into());
    };
    let mut reports = Vec::new();
    for member in info.layout.iter().flat_map(|layout| layout.members()) {
        let partitions = session.client.partitions(&member.address, id).await;
        reports.push(Report { node: member.id, partitions });
    }
    say(clear)?;
    output.say(|| text(&reports), || json(bucket, &reports))?;
    let all_answer = reports.iter().all(|report| report.partitions.is_ok());
    Ok(if all_answer { Exit::Done } else { Exit::Unavailable })
}

fn text(reports: &[Report]) -> String {
    let mut table = Table::new(["NODE", "PARTITION", "EPOCH", "STATE", "AGEING LEAVES", "COMPARED LAST"]);
    let mut notes = String::new();
    for Report { node, partitions } in reports {
        match partitions {
            Ok(partitions) => {
                for status in partitions {
                    let ago = |(peer, ms): &(NodeId, u64)| {
                        format!("with {peer} {} ago", format_duration(Duration::from_millis(*ms)))
                    };
                    let compared: Vec<String> = status.exchanged.iter().map(ago).collect();
                    table.row([
                        node.to_string(),
                        status.partition.0.to_string(),
                        status.epoch.0.to_string(),
                        if status.is_recovering { "recovering" } else { "whole" }.into(),
                        status.ageing_leaves.to_string(),
                        if compared.is_empty() { "not since it started".into() } else { compared.join(", ") },
                    ]);
                }
            }
            Err(error) => notes += &format!("\nnode {node}: {error}"),
        }
    }
    format!("{table}{notes}")
}

fn json(bucket: &str, reports: &[Report]) -> Value {
    let members = reports.iter().map(|Report { node, partitions }| match partitions {
        Ok(partitions) => json!({ "node": node, "partitions": partitions }),
        Err(error) => json!({ "node": node, "error": error_json(error) }),
    });
    json!({ "bucket": bucket, "members": members.collect::<Vec<_>>() })
}
