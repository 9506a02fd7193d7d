//! `kv get`.

use clap::Args;
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::command::{Get, GetAnswer, ReadOptions, ReadRepair};
use serde_json::{Value, json};

use super::arguments::{KeyArguments, parse_mode};
use super::describe::{context, counted, explain_json, explain_text, moment, time, value_json};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::complain;
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
    /// Several concurrent values are fine: exit code 0
    #[arg(long)]
    all: bool,
    /// Print the context instead of the value, for kv put --context
    #[arg(long)]
    context: bool,
    /// Bring the replicas that are behind up to date before the answer, not after it
    #[arg(long)]
    repair: bool,
    /// Say on standard error who answered with what
    #[arg(long)]
    explain: bool,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let key = arguments.key.key()?;
    let options = ReadOptions {
        r: arguments.r,
        quorum: arguments.quorum,
        timeout_ms: session.timeout_ms(),
        explain: arguments.explain,
        repair: if arguments.repair { ReadRepair::Foreground } else { ReadRepair::Background },
    };
    let get = Get { bucket: arguments.key.bucket.clone(), key: key.clone(), options };
    let answer = session.client.get(get).await?;
    if output.is_json() {
        output.json(&json(&answer))?;
        return Ok(exit(&answer, arguments));
    }
    if let Some(explain) = &answer.explain {
        complain(&explain_text(explain));
    }
    if arguments.context {
        output.text(&context(&answer.context))?;
        return Ok(Exit::Done);
    }
    match answer.values.as_slice() {
        [] => return Err(Failure::NotFound(format!("no value under {}", printable(key.as_bytes())))),
        [only] => output.raw(&only.value)?,
        several => {
            complain(&format!("{} are concurrent:", counted(several.len(), "value", "values")));
            for (index, sibling) in several.iter().enumerate() {
                let size = counted(sibling.value.len(), "byte", "bytes");
                let expires = sibling.expires_at_ms.map(|at_ms| format!(", expires {}", moment(at_ms)));
                complain(&format!(
                    "--- {} of {}: {size}, written {}{}",
                    index + 1,
                    several.len(),
                    time(sibling.stamp),
                    expires.unwrap_or_default()
                ));
                output.raw(&sibling.value)?;
                // Between values on one stream a line has to end; the last one stays as it is.
                if index + 1 < several.len() && !sibling.value.ends_with(b"\n") {
                    output.separate()?;
                }
            }
            if !arguments.all {
                complain(&format!("\nkv put {} VALUE replaces them all", printable(key.as_bytes())));
            }
        }
    }
    Ok(exit(&answer, arguments))
}

fn exit(answer: &GetAnswer, arguments: &Arguments) -> Exit {
    match answer.values.len() {
        0 if !arguments.context => Exit::NotFound,
        0 | 1 => Exit::Done,
        _ if arguments.all || arguments.context => Exit::Done,
        _ => Exit::Siblings,
    }
}

fn json(answer: &GetAnswer) -> Value {
    let values = answer.values.iter().map(|sibling| {
        let mut value = value_json(&sibling.value);
        if let Some(object) = value.as_object_mut() {
            object.insert("version".into(), sibling.dot.to_string().into());
            object.insert("written".into(), time(sibling.stamp).into());
            object.insert("expires".into(), sibling.expires_at_ms.map(moment).into());
            object.insert("expires_at_ms".into(), sibling.expires_at_ms.into());
        }
        value
    });
    json!({
        "result": if answer.values.is_empty() { "not_found" } else { "found" },
        "values": values.collect::<Vec<_>>(),
        "context": context(&answer.context),
        "explain": answer.explain.as_deref().map(explain_json),
    })
}
