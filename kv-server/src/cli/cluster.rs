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
    Init,
}

pub(super) async fn run(command: &Command, session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Init => init(session, output).await,
    }
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
