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
        /// Let members in that have no data although the cluster is there already, because their disk was replaced: they get what the others
        /// have before they count in reads
        #[arg(long)]
        replace: bool,
    },
}

pub(super) async fn run(command: &Command, session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Init { replace } => {
            if !replace {
                refuse_empty_members(session).await?;
            }
            init(session, output).await
        }
    }
}

/// A member of a cluster that is there already, and that has no data, may have lost it, or its volume is not mounted.
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
                "the cluster is there already, and node {} at {} has no data. If it should have, see that its volume is mounted and start it \
                 again. If its data is lost, or it never had any, say --replace: it gets what the others have",
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
