//! Whether the other members have what this node's store had.

use std::time::Duration;

use kv_core::ids::NodeId;
use kv_core::layout::Member;
use kv_core::replica::{Membership, TooFewOthers};
use kv_core::wire::NodeStatus;
use kv_net::Client;
use tokio::task::JoinSet;

use super::decision::Others;
use crate::config::ServerConfig;

/// How long a member may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the other members how they are, and says in words what speaks against relying on them.
pub(super) async fn look(config: &ServerConfig, membership: &Membership) -> (Others, String) {
    let node = membership.identity.node;
    let mut asking = JoinSet::new();
    for member in membership.layout.members().iter().filter(|member| member.id != node) {
        // The configuration may be newer than the layout.
        let moved = config.members.iter().find(|configured| configured.id == member.id);
        let Member { id, address, .. } = moved.unwrap_or(member).clone();
        asking.spawn(async move { (id, ask(address).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(id, _)| *id);
    let (mut complete, mut causes) = (Vec::new(), Vec::new());
    for (id, answer) in answers {
        match answer.and_then(|status| is_complete(membership, id, &status)) {
            Ok(()) => complete.push(id),
            Err(cause) => causes.push(format!("node {id} {cause}")),
        }
    }
    match membership.first_lacking(&complete) {
        None => (Others::Suffice, "the others have all of it".into()),
        Some(TooFewOthers { bucket, partition, needed, complete }) => {
            let causes = if causes.is_empty() { String::new() } else { format!(": {}", causes.join(", ")) };
            let says = format!(
                "of partition {} of bucket '{bucket}' {complete} other owners can be relied on and a read needs {needed}{causes}",
                partition.0
            );
            (Others::TooFew, says)
        }
    }
}

async fn ask(address: String) -> Result<NodeStatus, String> {
    let client = Client::builder().seed(address.clone()).timeout(PATIENCE).build();
    let client = client.map_err(|error| format!("cannot be asked: {error}"))?;
    let status = client.status(&address).await;
    client.shut_down().await;
    status.map_err(|_| format!("at {address} cannot be reached"))
}

/// Whether a member has all that it is to have.
fn is_complete(membership: &Membership, id: NodeId, status: &NodeStatus) -> Result<(), String> {
    let of_cluster = status.cluster == Some(membership.identity.cluster)
        && status.layout == membership.layout.version()
        && status.node == id;
    if !of_cluster {
        return Err("is not the member that it should be".into());
    }
    if status.epochs.recovering > 0 {
        return Err("is recovering itself".into());
    }
    if !status.trouble.is_empty() {
        return Err(format!("is in trouble ({})", status.trouble));
    }
    Ok(())
}
