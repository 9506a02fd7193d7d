//! `kv scan`.

use clap::Args;
use kv_core::bucket::Quorum;
use kv_core::command::{Scan, ScanEntry, ScanPosition};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{PartitionId, Token};

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::{complain, say};
use crate::exit::Exit;
use crate::text::printable;
use crate::transfer::{Entry, EntryValue, encode_json};

/// Keys of one page.
const PAGE: u32 = 1_000;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Only keys that begin so
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// The bucket
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET", default_value = "default")]
    bucket: String,
    /// Print values too
    #[arg(long)]
    values: bool,
    /// Stop after so many keys
    #[arg(long, short = 'n', value_name = "NUMBER")]
    limit: Option<u64>,
    /// Go on where an earlier scan stopped: the place that it printed
    #[arg(long, value_name = "PLACE")]
    from: Option<ScanPosition>,
    /// Only keys of this partition
    #[arg(long, value_name = "NUMBER", conflicts_with = "from")]
    partition: Option<u32>,
    /// Replicas that have to answer: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    r: Option<Quorum>,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut scan = Scan::new(&*arguments.bucket).with_prefix(arguments.prefix.clone());
    scan.values = arguments.values;
    scan.r = arguments.r;
    scan.timeout_ms = session.timeout_ms();
    scan.from = arguments.from.clone().unwrap_or_default();
    if let Some(partition) = arguments.partition {
        (scan.from, scan.last) = range_of(partition, session).await?;
    }
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    while left > 0 {
        scan.limit = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE);
        let page = session.client.scan(scan.clone()).await?;
        left -= page.entries.len() as u64;
        let mut lines = String::new();
        for entry in page.entries {
            line(entry, output.is_json(), &mut lines)?;
        }
        say(lines.as_bytes())?;
        let Some(next) = page.next else { return Ok(Exit::Done) };
        scan.from = next;
    }
    complain(&format!("kv: there may be more, from --from {} on", scan.from));
    Ok(Exit::Done)
}

/// The tokens of a partition.
async fn range_of(partition: u32, session: &Session) -> Result<(ScanPosition, Token), Failure> {
    let info = session.client.cluster().await?;
    let layout = info.layout.ok_or_else(|| Error::new(ErrorKind::Unavailable, "there is no cluster yet"))?;
    let partitioning = layout.partitioning();
    if partition >= partitioning.count() {
        let last = partitioning.count() - 1;
        return Err(Failure::Invalid(format!("the partitions are 0 to {last}, there is no {partition}")));
    }
    let last = match partition + 1 {
        behind if behind < partitioning.count() => partitioning.first_token(PartitionId(behind)).0 - 1,
        _ => u64::MAX,
    };
    Ok((ScanPosition::at(partitioning.first_token(PartitionId(partition))), Token(last)))
}

/// A key, with each of its values where they were asked for.
fn line(entry: ScanEntry, is_json: bool, lines: &mut String) -> Result<(), Failure> {
    let ScanEntry { key, values, .. } = entry;
    let entry = Entry { key, values: values.into_iter().map(EntryValue::from).collect() };
    if is_json {
        *lines += &encode_json(&entry).map_err(Failure::other)?;
        lines.push('\n');
        return Ok(());
    }
    let key = printable(entry.key.as_bytes());
    if entry.values.is_empty() {
        *lines += &format!("{key}\n");
    }
    for value in &entry.values {
        *lines += &format!("{key}\t{}\n", printable(&value.bytes));
    }
    Ok(())
}
