//! Things of the cluster in words and in JSON.

use std::time::{Duration, UNIX_EPOCH};

use kv_core::causality::{ContextToken, Stamp};
use kv_core::command::{Ack, Decision, Explain, ExplainedReplica, PutApplied, ReplicaState};
use kv_core::error::Error;
use kv_core::ids::NodeId;
use kv_core::layout::Layout;
use kv_core::storage::Durability;
use serde_json::{Value, json};

use crate::text::{Table, format_count, to_hex};

/// When a version was written.
pub(super) fn time(stamp: Stamp) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(stamp.millis()));
    time.map_or_else(|| stamp.to_string(), |time| humantime::format_rfc3339_millis(time).to_string())
}

/// A time in milliseconds since 1970.
pub(super) fn moment(at_ms: u64) -> String {
    time(Stamp::from_millis(at_ms))
}

/// A context in the form that `--context` takes.
pub(super) fn context(token: &ContextToken) -> String {
    to_hex(token.as_bytes())
}

/// `1 byte`, `5 bytes`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", format_count(count as u64), if count == 1 { one } else { many })
}

/// Node ids, as in `nodes 1, 2`.
pub(super) fn nodes(ids: impl IntoIterator<Item = NodeId>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    format!("{} {}", if ids.len() == 1 { "node" } else { "nodes" }, ids.join(", "))
}

/// A value: as text where it is text, in hexadecimal digits where it is not.
pub(super) fn value_json(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => json!({ "value": text }),
        Err(_) => json!({ "value_hex": to_hex(value) }),
    }
}

pub(super) fn error_json(error: &Error) -> Value {
    let mut value = json!({
        "kind": error.kind().name(),
        "number": u16::from(error.kind()),
        "message": error.to_string(),
        "retryable": error.is_retryable(),
    });
    if let (Some(quorum), Some(object)) = (error.quorum(), value.as_object_mut()) {
        let causes =
            quorum.causes.iter().map(|cause| json!({ "node": cause.node, "kind": cause.kind.name() }));
        object.insert("needed".into(), quorum.needed.into());
        object.insert("got".into(), quorum.got.into());
        object.insert("causes".into(), causes.collect());
    }
    value
}

pub(super) fn applied_json(applied: &PutApplied) -> Value {
    json!({
        "result": "applied",
        "version": applied.dot.map(|dot| dot.to_string()),
        "context": context(&applied.context),
        "acknowledged_by": applied.acks.iter().map(|ack| ack.node).collect::<Vec<_>>(),
        "acknowledgements": applied.acks.iter().map(ack_json).collect::<Vec<_>>(),
        "explain": applied.explain.as_deref().map(explain_json),
    })
}

fn ack_json(ack: &Ack) -> Value {
    json!({
        "node": ack.node,
        "stands_in_for": ack.stands_for,
        "synced": ack.durability == Durability::Synced,
    })
}

pub(super) fn explain_json(explain: &Explain) -> Value {
    let replicas = explain.replicas.iter().map(|replica| {
        let versions = replica.versions.iter().map(|version| {
            json!({
                "version": version.dot.to_string(),
                "written": time(version.stamp),
                "value_bytes": version.value_bytes,
                "expires_at_ms": version.expires_at_ms,
                "part_of_answer": version.won,
            })
        });
        json!({
            "node": replica.node,
            "owner": replica.is_owner,
            "said": said(replica.state),
            "versions": versions.collect::<Vec<_>>(),
            "repaired": replica.repaired,
        })
    });
    json!({
        "coordinator": explain.coordinator,
        "token": format!("{:016x}", explain.token.0),
        "partition": explain.partition,
        "layout": explain.layout,
        "needed": explain.needed,
        "replicas": replicas.collect::<Vec<_>>(),
        "decision": decision(&explain.decision),
    })
}

/// An explanation as a page for people.
pub(super) fn explain_text(explain: &Explain) -> String {
    let replicas = explain.replicas.len();
    format!(
        "why:          {}\n\
         coordinator:  node {}\n\
         place:        token {:016x}, partition {}, layout version {}\n\
         needed:       {} of {}\n\n{}",
        decision(&explain.decision),
        explain.coordinator,
        explain.token.0,
        explain.partition.0,
        explain.layout,
        counted(explain.needed.into(), "answer", "answers"),
        counted(replicas, "replica", "replicas"),
        replica_table(&explain.replicas)
    )
}

fn replica_table(replicas: &[ExplainedReplica]) -> Table {
    let mut table = Table::new(["REPLICA", "SAID", "VERSION", "WRITTEN", "SIZE", "IN ANSWER", "REPAIRED"]);
    let dash = || "-".to_string();
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_string();
    for replica in replicas {
        let role = if replica.is_owner { "" } else { ", stands in" };
        let mut node = format!("node {}{role}", replica.node);
        let mut state = said(replica.state);
        let mut repaired = yes(replica.repaired);
        if replica.versions.is_empty() {
            let version = match replica.state {
                ReplicaState::Answered | ReplicaState::Recovering => "no record".to_string(),
                _ => dash(),
            };
            table.row([node, state, version, dash(), dash(), dash(), repaired]);
            continue;
        }
        for version in &replica.versions {
            let mut size =
                version.value_bytes.map_or("deleted".into(), |bytes| counted(bytes, "byte", "bytes"));
            if let Some(at_ms) = version.expires_at_ms {
                size += &format!(", expires {}", moment(at_ms));
            }
            let (dot, written) = (version.dot.to_string(), time(version.stamp));
            table.row([node, state, dot, written, size, yes(version.won), repaired]);
            (node, state, repaired) = (String::new(), String::new(), String::new());
        }
    }
    table
}

fn said(state: ReplicaState) -> String {
    match state {
        ReplicaState::NotAsked => "not asked".into(),
        ReplicaState::Waiting => "no answer yet".into(),
        ReplicaState::Answered => "answered".into(),
        ReplicaState::Recovering => "recovering, does not count".into(),
        ReplicaState::Committed(_) => "committed".into(),
        ReplicaState::Failed(kind) => format!("failed: {}", kind.name()),
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::NotFound => "no replica that counted knows the key".into(),
        Decision::Deleted => "the key was deleted, or has expired".into(),
        Decision::OnlyVersion => "one version replaced all others that were found".into(),
        Decision::Siblings => "versions are concurrent and the bucket keeps them all".into(),
        Decision::Kept(resolver) => {
            format!("versions were concurrent and {resolver} kept what is in the answer")
        }
        Decision::Combined(resolver) => format!("values were concurrent and {resolver} made one of them"),
        Decision::Written => "the write was stored".into(),
    }
}

/// The layout in one line.
pub(super) fn layout_line(layout: &Layout) -> String {
    format!(
        "cluster {}, layout version {}: {}, {}, {} of each key, placed by {}",
        layout.cluster(),
        layout.version(),
        counted(layout.members().len(), "member", "members"),
        counted(layout.partitioning().count() as usize, "partition", "partitions"),
        counted(layout.replicas().min(layout.members().len()), "replica", "replicas"),
        layout.strategy()
    )
}

/// What a layout falls short of.
pub(super) fn degraded(layout: &Layout) -> Option<String> {
    let (members, replicas) = (layout.members().len(), layout.replicas());
    (members < replicas)
        .then(|| format!("degraded: {replicas} replicas were asked for, and there are {members} members"))
}

#[cfg(test)]
mod tests {
    use kv_core::error::{Cause, ErrorKind, QuorumShortfall};

    use super::*;

    #[test]
    fn an_error_in_json_says_who_was_missing() {
        let causes = vec![Cause { node: NodeId(3), kind: ErrorKind::ConnectionFailed }];
        let error = Error::new(ErrorKind::Unavailable, "too few").with_quorum(QuorumShortfall {
            needed: 2,
            got: 1,
            causes,
        });
        let value = error_json(&error);
        assert_eq!((&value["number"], &value["needed"], &value["got"]), (&json!(20), &json!(2), &json!(1)));
        assert_eq!(value["causes"][0], json!({ "node": 3, "kind": "ConnectionFailed" }));
    }

    #[test]
    fn values_that_are_no_text_are_hexadecimal() {
        assert_eq!(value_json(b"hello"), json!({ "value": "hello" }));
        assert_eq!(value_json(&[0xff, 0]), json!({ "value_hex": "ff00" }));
    }

    #[test]
    fn times_are_those_of_the_stamp() {
        assert_eq!(time(Stamp::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
    }
}
