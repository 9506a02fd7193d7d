//! `kv ring`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Args;
use kv_core::ids::NodeId;
use kv_core::key::Key;
use kv_core::layout::{Layout, Member};
use kv_core::wire::ClusterInfo;
use serde_json::{Value, json};

use super::arguments::key_of;
use super::describe::{degraded, layout_line};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::plugins;
use crate::text::{Table, format_count, printable};

const BAR_WIDTH: usize = 30;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Show who owns this key
    #[arg(value_name = "KEY")]
    key: Option<OsString>,
    /// The bucket of the key
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET", default_value = "default")]
    bucket: String,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let info = session.client.cluster().await?;
    let Some(layout) = &info.layout else {
        return Err(Failure::Invalid("there is no cluster yet: make one with kv cluster init".into()));
    };
    match &arguments.key {
        Some(key) => {
            let preference = Preference::of(&key_of(key)?, &arguments.bucket, &info, layout)?;
            output.say(|| preference.text(layout), || preference.json())?;
        }
        None => {
            let shares = shares(layout);
            output.say(|| shares_text(layout, &shares), || shares_json(layout, &shares))?;
        }
    }
    Ok(Exit::Done)
}

/// What a member holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    /// Partitions that it owns a replica of.
    owns: usize,
    /// Partitions of which it is the first owner.
    first: usize,
}

fn shares(layout: &Layout) -> BTreeMap<NodeId, Share> {
    let mut shares: BTreeMap<NodeId, Share> =
        layout.members().iter().map(|member| (member.id, Share::default())).collect();
    for list in layout.placement().lists() {
        for (place, node) in list.iter().take(layout.replicas()).enumerate() {
            let share = shares.entry(*node).or_default();
            share.owns += 1;
            share.first += usize::from(place == 0);
        }
    }
    shares
}

fn part(share: Share, layout: &Layout) -> f64 {
    share.owns as f64 / f64::from(layout.partitioning().count())
}

fn shares_text(layout: &Layout, shares: &BTreeMap<NodeId, Share>) -> String {
    let mut table = Table::new(["NODE", "ADDRESS", "ZONE", "CAPACITY", "OWNS", "FIRST", "OF ALL KEYS"]);
    for member in layout.members() {
        let share = shares.get(&member.id).copied().unwrap_or_default();
        let part = part(share, layout);
        table.row([
            member.id.to_string(),
            member.address.clone(),
            zone(member),
            member.capacity.to_string(),
            format_count(share.owns as u64),
            format_count(share.first as u64),
            format!("{} {:.1} %", bar(part), part * 100.0),
        ]);
    }
    let degraded = degraded(layout).map(|degraded| format!("\n{degraded}")).unwrap_or_default();
    format!("{}\n\n{table}{degraded}", layout_line(layout))
}

fn zone(member: &Member) -> String {
    match (member.data_center.as_str(), member.zone.as_str()) {
        ("", "") => "-".into(),
        ("", zone) => zone.into(),
        (data_center, "") => data_center.into(),
        (data_center, zone) => format!("{data_center}/{zone}"),
    }
}

fn bar(part: f64) -> String {
    let full = (part * BAR_WIDTH as f64).round() as usize;
    format!("{}{}", "█".repeat(full.min(BAR_WIDTH)), "·".repeat(BAR_WIDTH.saturating_sub(full)))
}

fn shares_json(layout: &Layout, shares: &BTreeMap<NodeId, Share>) -> Value {
    let members = layout.members().iter().map(|member| {
        let share = shares.get(&member.id).copied().unwrap_or_default();
        json!({ "member": member, "owns": share.owns, "first": share.first, "part": part(share, layout) })
    });
    json!({
        "cluster": layout.cluster(),
        "layout": layout.version(),
        "partitions": layout.partitioning().count(),
        "replicas": layout.replicas(),
        "strategy": layout.strategy(),
        "members": members.collect::<Vec<_>>(),
        "degraded": degraded(layout),
    })
}

/// Where a key lies and whose it is.
#[derive(Debug)]
struct Preference {
    key: String,
    token: kv_core::ids::Token,
    partition: kv_core::ids::PartitionId,
    nodes: Vec<NodeId>,
    owners: usize,
}

impl Preference {
    fn of(key: &Key, bucket: &str, info: &ClusterInfo, layout: &Layout) -> Result<Self, Failure> {
        let partitioner = plugins::plugins().partitioner;
        if partitioner.name() != layout.partitioner() {
            let theirs = layout.partitioner();
            return Err(Failure::other(format!(
                "the cluster uses partitioner {theirs}, which this client does not know"
            )));
        }
        let (_, properties) = info
            .buckets
            .get(bucket)
            .ok_or_else(|| Failure::NotFound(format!("there is no bucket '{bucket}'")))?;
        let token = partitioner.token(key.as_bytes());
        let partition = layout.partitioning().partition(token);
        Ok(Preference {
            key: printable(key.as_bytes()),
            token,
            partition,
            nodes: layout.placement().preference_list(partition).to_vec(),
            owners: layout.owners(token, properties.n.into()).len(),
        })
    }

    fn text(&self, layout: &Layout) -> String {
        let mut table = Table::new(["", "NODE", "ADDRESS", "ZONE", "PART"]);
        for (place, node) in self.nodes.iter().enumerate() {
            let part = match place {
                0 => "owner, first choice for coordinating",
                place if place < self.owners => "owner",
                _ => "none",
            };
            let member = layout.member(*node);
            table.row([
                (place + 1).to_string(),
                node.to_string(),
                member.map_or_else(|| "-".into(), |member| member.address.clone()),
                member.map_or_else(|| "-".into(), zone),
                part.into(),
            ]);
        }
        let partitions = format_count(layout.partitioning().count().into());
        format!(
            "{} lies at token {:016x}, in partition {} of {partitions}\n\n{table}",
            self.key, self.token.0, self.partition.0
        )
    }

    fn json(&self) -> Value {
        let (owners, others) = self.nodes.split_at_checked(self.owners).unwrap_or_default();
        json!({
            "token": format!("{:016x}", self.token.0),
            "partition": self.partition,
            "owners": owners,
            "others": others,
        })
    }
}

#[cfg(test)]
mod tests {
    use kv_core::ids::ClusterId;
    use kv_core::layout::{LayoutDraft, Partitioning};
    use kv_core::partitioner::Xxh3Partitioner;

    use super::*;
    use crate::config::Strategy;

    fn layout(members: u64) -> Layout {
        let draft = LayoutDraft {
            cluster: ClusterId(1),
            members: (1..=members).map(|id| Member::new(NodeId(id), format!("host-{id}:7380"))).collect(),
            partitioning: Partitioning::new(64).unwrap(),
            replicas: 3,
        };
        Layout::first(draft, &Xxh3Partitioner, &*plugins::strategy(Strategy::Balanced)).unwrap().0
    }

    #[test]
    fn all_replicas_are_counted_once() {
        for members in [1, 3, 5] {
            let layout = layout(members);
            let shares = shares(&layout);
            let sum = |count: fn(&Share) -> usize| shares.values().map(count).sum::<usize>();
            assert_eq!(sum(|share| share.owns), 64 * 3.min(members as usize));
            assert_eq!(sum(|share| share.first), 64);
        }
    }

    #[test]
    fn a_bar_is_as_long_as_the_part() {
        assert_eq!(bar(1.0), "█".repeat(BAR_WIDTH));
        assert_eq!(bar(0.5).matches('█').count(), BAR_WIDTH / 2);
        assert_eq!(bar(0.0), "·".repeat(BAR_WIDTH));
    }

    #[test]
    fn degraded_layouts_say_so() {
        assert!(shares_text(&layout(1), &shares(&layout(1))).contains("degraded: 3 replicas were asked for"));
        assert!(!shares_text(&layout(3), &shares(&layout(3))).contains("degraded"));
    }
}
