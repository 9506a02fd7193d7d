//! `kv verify`.

use clap::Args;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{NodeId, PartitionId};
use kv_core::layout::Layout;
use kv_core::tree::{LEAVES, LeafCount, LeafId, TreeId};
use kv_core::wire::ClusterInfo;
use serde_json::{Value, json};

use super::describe::error_json;
use super::failure::Failure;
use super::output::Output;
use super::repair::Members;
use super::session::Session;
use crate::exit::Exit;
use crate::text::{Table, format_count};
use crate::transfer::Progress;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    members: Members,
    /// Only look: do not have members repair what is damaged
    #[arg(long)]
    no_repair: bool,
}

/// Leaves that a member looks at in one request.
const LEAVES_AT_A_TIME: usize = 8;

/// What was found at one member.
struct Report {
    node: NodeId,
    result: Result<Found, Error>,
    is_repairing: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Found {
    partitions: u64,
    records: u64,
    damaged: u64,
    /// Leaves whose digest was not that of their records.
    wrong: u64,
    /// Leaves that had to be counted anyway, since the member was killed before.
    unknown: u64,
}

impl Found {
    fn add(&mut self, counts: &[LeafCount]) {
        self.partitions += 1;
        for count in counts {
            self.records += count.records;
            self.damaged += count.damaged;
            self.unknown += u64::from(count.expected.is_none());
            // What is damaged is known by another digest, or by none.
            let is_wrong = count.damaged == 0 && count.expected.is_some_and(|expected| expected != count.sum);
            self.wrong += u64::from(is_wrong);
        }
    }

    fn is_well(&self) -> bool {
        self.damaged == 0 && self.wrong == 0
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let info = session.client.cluster().await?;
    let members = arguments.members.of(&info)?;
    let work: Vec<_> =
        members.into_iter().map(|(node, address)| (node, address, trees(&info, node))).collect();
    let total: usize = work.iter().map(|(_, _, trees)| trees.len()).sum();
    let mut progress = Progress::new("looked at", Some(total as u64), false, output.is_json());
    let (mut done, mut keys) = (0, 0);
    let mut reports = Vec::with_capacity(work.len());
    for (node, address, trees) in work {
        let looked = look(session, &address, &trees, |partitions, records| {
            progress.set(done + partitions, keys + records);
        });
        let result = looked.await;
        done += trees.len() as u64;
        keys += result.as_ref().map_or(0, |found| found.records);
        let wants_repair = result.as_ref().is_ok_and(|found| !found.is_well()) && !arguments.no_repair;
        let is_repairing = wants_repair && session.client.repair(&address).await.is_ok();
        reports.push(Report { node, result, is_repairing });
    }
    progress.end();
    output.say(|| text(&reports), || json(&reports))?;
    Ok(match &reports {
        reports if reports.iter().any(|report| report.result.is_err()) => Exit::Unavailable,
        reports if reports.iter().all(|report| report.result.as_ref().is_ok_and(Found::is_well)) => {
            Exit::Done
        }
        _ => Exit::Failed,
    })
}

/// The partitions of all buckets that a member owns.
fn trees(info: &ClusterInfo, node: NodeId) -> Vec<TreeId> {
    let Some(layout) = &info.layout else { return Vec::new() };
    let owned = |layout: &Layout, n: u8, partition: PartitionId| {
        layout.owners(layout.partitioning().first_token(partition), n.into()).contains(&node)
    };
    let partitions = || (0..layout.partitioning().count()).map(PartitionId);
    let of_bucket = |(_, bucket, properties): (_, _, &kv_core::bucket::BucketProperties)| {
        let n = properties.n;
        partitions()
            .filter(move |partition| owned(layout, n, *partition))
            .map(move |partition| TreeId { bucket, partition })
    };
    info.buckets.buckets().flat_map(of_bucket).collect()
}

/// Has a member look at each record of these partitions.
async fn look(
    session: &Session,
    address: &str,
    trees: &[TreeId],
    mut looked: impl FnMut(u64, u64),
) -> Result<Found, Error> {
    let mut found = Found::default();
    for tree in trees {
        let leaves: Vec<LeafId> = (0..LEAVES as u8).map(|leaf| LeafId { tree: *tree, leaf }).collect();
        let mut counts = Vec::with_capacity(LEAVES);
        // A few at a time: puts wait meanwhile.
        for some in leaves.chunks(LEAVES_AT_A_TIME) {
            let counted = session.client.count(address, some.to_vec()).await?;
            if counted.len() != some.len() {
                let message = format!("its store cannot read partition {}: see its log", tree.partition.0);
                return Err(Error::new(ErrorKind::StorageFailed, message));
            }
            counts.extend(counted);
        }
        found.add(&counts);
        looked(found.partitions, found.records);
    }
    Ok(found)
}

fn text(reports: &[Report]) -> String {
    let mut table = Table::new(["NODE", "PARTITIONS", "RECORDS", "DAMAGED", "WRONG DIGESTS"]);
    let mut notes = String::new();
    for Report { node, result, is_repairing } in reports {
        match result {
            Ok(found) => {
                let counts = [found.partitions, found.records, found.damaged, found.wrong].map(format_count);
                let [partitions, records, damaged, wrong] = counts;
                table.row([node.to_string(), partitions, records, damaged, wrong]);
                if *is_repairing {
                    notes.push_str(&format!(
                        "\nnode {node}: compares itself with the others now, from which damaged records are repaired: look again in a minute"
                    ));
                } else if !found.is_well() {
                    notes.push_str(&format!(
                        "\nnode {node}: kv repair --node {node} repairs it from the others"
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
    let member = |Report { node, result, is_repairing }: &Report| match result {
        Ok(found) => json!({
            "node": node,
            "partitions": found.partitions,
            "records": found.records,
            "damaged": found.damaged,
            "wrong_digests": found.wrong,
            "leaves_unknown_before": found.unknown,
            "repairing": is_repairing,
        }),
        Err(error) => json!({ "node": node, "error": error_json(error) }),
    };
    json!({ "members": reports.iter().map(member).collect::<Vec<_>>() })
}
