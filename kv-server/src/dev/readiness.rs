//! From processes to a cluster: waits for the nodes, makes the cluster if there is none, waits until it serves.

use std::time::Duration;

use anyhow::{Result, bail};
use kv_core::wire::NodeStatus;

use super::plan::Plan;
use kv_net::Client;

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until every node serves.
pub(super) async fn cluster(plan: &Plan) -> Result<()> {
    let client = Client::builder().seeds(plan.addresses()).timeout(Duration::from_secs(5)).build()?;
    let made = make(plan, &client).await;
    client.shut_down().await;
    made
}

async fn make(plan: &Plan, client: &Client) -> Result<()> {
    let statuses = wait(plan, client, |_| true).await?;
    if statuses.iter().any(|status| status.layout == 0) {
        // By a member if there is one: it gives what there is to the nodes that have nothing, as after their data was removed.
        let member = statuses.iter().position(|status| status.layout > 0).unwrap_or(0);
        if let Some(node) = plan.nodes.get(member) {
            client.init(&node.listen).await?;
        }
    }
    wait(plan, client, |status| status.layout > 0 && status.trouble.is_empty()).await?;
    Ok(())
}

/// Asks the nodes for their status, each until it is as wanted.
async fn wait(
    plan: &Plan,
    client: &Client,
    is_wanted: impl Fn(&NodeStatus) -> bool,
) -> Result<Vec<NodeStatus>> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let mut statuses = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        loop {
            let answer = client.status(&node.listen).await;
            let reason = match answer {
                Ok(status) if is_wanted(&status) => {
                    statuses.push(status);
                    break;
                }
                Ok(status) if status.layout == 0 => "it belongs to no cluster".to_string(),
                Ok(status) => status.trouble,
                Err(error) => error.to_string(),
            };
            if tokio::time::Instant::now() > give_up {
                bail!("node {} is not ready after {} s: {reason}", node.id, PATIENCE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(statuses)
}
