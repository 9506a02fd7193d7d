//! Positive controls: runs in which something does break what the judge is told is promised. A judge that finds nothing there is blind.

use std::time::Duration;

use crate::nemesis::history::Event;
use crate::nemesis::judge::Rule;
use crate::nemesis::rest::UNEQUAL;
use crate::nemesis::run::{Extent, Outcome, Plan, bucket, run};
use crate::nemesis::schedule::{Fault, Step};
use crate::nemesis::world::Needs;

/// Something that loses what the judge is told is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Control {
    /// A bucket where the last write wins, judged as one that keeps all concurrent writes.
    LastWriteWins,
    /// Disks that say that they have stored what they have not, and a power cut of all nodes.
    LyingDisks,
    /// R = W = 1 while nodes do not hear each other, judged as R = W = 2.
    WeakQuorums,
    /// Stand-ins while nodes do not hear each other, judged as if they were owners.
    StandIns,
    /// Nodes that never compare what they hold, of which some miss writes for which nobody stands in.
    NoExchange,
}

impl Control {
    /// All of them.
    pub const ALL: [Control; 5] = [
        Control::LastWriteWins,
        Control::LyingDisks,
        Control::WeakQuorums,
        Control::StandIns,
        Control::NoExchange,
    ];

    /// What the judge has to find; none if it is that the cluster does not come to rest.
    pub fn breaks(self) -> Option<Rule> {
        match self {
            Control::LastWriteWins | Control::LyingDisks => Some(Rule::NoWriteLost),
            Control::WeakQuorums | Control::StandIns => Some(Rule::ReadsAreRegular),
            Control::NoExchange => None,
        }
    }

    fn fault(self, nodes: usize) -> Fault {
        match self {
            Control::LyingDisks => Fault::PowerCut((0..nodes).collect()),
            // What is sent to nodes that are merely cut off waits in buffers of TCP, and reaches them in the end.
            Control::NoExchange => Fault::Kill(vec![0, 1]),
            _ => Fault::Partition(vec![0, 1]),
        }
    }

    fn plan(self, extent: &Extent) -> Plan {
        let (begin, length) = (Duration::from_secs(1), Duration::from_secs(extent.seconds));
        let mut used = match self {
            Control::LastWriteWins => bucket("latest", true, true),
            Control::LyingDisks | Control::WeakQuorums | Control::NoExchange => {
                bucket("strict", false, false)
            }
            Control::StandIns => bucket("default", true, false),
        };
        if self == Control::WeakQuorums {
            (used.1.r, used.1.w) = (1, 1);
        }
        let lies = self == Control::LyingDisks;
        Plan {
            name: format!("control-{self:?}"),
            steps: vec![Step { begin, end: length.max(begin * 2), fault: self.fault(extent.nodes) }],
            needs: Needs { disks: lies, clocks: false, lying_disks: lies },
            buckets: vec![used],
            pretend: match self {
                Control::LastWriteWins => as_if_siblings_were_kept,
                Control::LyingDisks | Control::NoExchange => |_| {},
                Control::WeakQuorums | Control::StandIns => as_if_two_owners_had_answered,
            },
            exchanges: self != Control::NoExchange,
            is_control: true,
        }
    }
}

fn as_if_siblings_were_kept(history: &mut [Event]) {
    for event in history {
        if let Event::Run(run) = event {
            run.buckets.iter_mut().for_each(|bucket| bucket.by_stamp = false);
        }
    }
}

fn as_if_two_owners_had_answered(history: &mut [Event]) {
    for event in history {
        match event {
            Event::Put(put) => put.owners = put.owners.max(2),
            Event::Get(get) => get.owners = get.owners.max(2),
            Event::Run(_) | Event::Fault(_) => {}
        }
    }
}

/// Runs a control.
///
/// # Errors
///
/// If the judge does not find what it has to, and what the machine lacks or forbids.
pub async fn check(control: Control, extent: &Extent) -> anyhow::Result<Outcome> {
    let outcome = run(&control.plan(extent), extent).await?;
    let is_found = match control.breaks() {
        Some(rule) => outcome.violations.iter().any(|violation| violation.rule == rule),
        None => outcome.troubles.iter().any(|trouble| trouble.contains(UNEQUAL)),
    };
    anyhow::ensure!(
        is_found,
        "{control:?}: the judge is blind: it finds {:?} {:?}",
        outcome.violations.first(),
        outcome.troubles
    );
    Ok(outcome)
}
