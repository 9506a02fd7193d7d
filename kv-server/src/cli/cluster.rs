//! `kv cluster`.

use clap::Subcommand;
use serde_json::json;

use super::describe::{degraded, layout_line};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Make a cluster of the members in the configuration of the node that --server names
    Init {
        /// Let members in that have no data although the cluster is there already: only such as never had any
        #[arg(long)]
        join_empty: bool,
    },
}

pub(super) async fn run(command: &Command, session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Init { join_empty } => {
            if !join_empty {
                refuse_empty_members(session).await?;
            }
            init(session, output).await
        }
    }
}

/// A member of a cluster that is there already, and that has no data, may have lost it: then what it acknowledged is missing.
async fn refuse_empty_members(session: &Session) -> Result<(), Failure> {
    let Ok(status) = session.client.status(session.first_server()).await else { return Ok(()) };
    if status.cluster.is_none() {
        return Ok(());
    }
    let info = session.client.cluster().await?;
    let members = info.layout.as_ref().map(|layout| layout.members()).unwrap_or_default();
    for member in members {
        if let Ok(status) = session.client.status(&member.address).await
            && status.cluster.is_none()
        {
            return Err(Failure::Invalid(format!(
                "the cluster is there already, and node {} at {} has no data. If it ever had, what it acknowledged is missing now, and \
                 letting it in hides that: see \"A node whose data is lost\" in docs/operations.md. If it never had, say --join-empty",
                member.id, member.address
            )));
        }
    }
    Ok(())
}

async fn init(session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    let info = session.client.init(session.first_server()).await?;
    let Some(layout) = &info.layout else {
        return Err(Failure::other("the node made no layout"));
    };
    let text = || match degraded(layout) {
        Some(degraded) => format!("{}\n{degraded}", layout_line(layout)),
        None => layout_line(layout),
    };
    let value = || {
        json!({
            "cluster": layout.cluster(),
            "layout": layout.version(),
            "members": layout.members(),
            "degraded": degraded(layout),
        })
    };
    output.say(text, value)?;
    Ok(Exit::Done)
}
