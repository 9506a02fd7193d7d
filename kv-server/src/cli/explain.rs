//! `kv explain`.

use clap::Args;
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{Get, ReadOptions};
use serde_json::json;

use super::arguments::{KeyArguments, parse_mode};
use super::describe::{counted, explain_json, explain_text};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::text::printable;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    key: KeyArguments,
    /// Replicas that have to answer: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    r: Option<Quorum>,
    /// Whose answers count: strict (owners) or sloppy (also nodes that stand in for absent owners)
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    quorum: Option<QuorumMode>,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let key = arguments.key.key()?;
    let (r, quorum) = (arguments.r, arguments.quorum);
    let options =
        ReadOptions { r, quorum, timeout_ms: session.timeout_ms(), explain: true, ..ReadOptions::default() };
    let get = Get { bucket: arguments.key.bucket.clone(), key: key.clone(), options };
    let answer = session.client.get(get).await?;
    let Some(explain) = &answer.explain else {
        return Err(Failure::other("the node gave no explanation"));
    };
    let text = || {
        let values = counted(answer.values.len(), "value", "values");
        format!("key:          {} ({values})\n{}", printable(key.as_bytes()), explain_text(explain))
    };
    output.say(text, || json!({ "values": answer.values.len(), "explain": explain_json(explain) }))?;
    Ok(Exit::Done)
}
