//! `kv put`.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use kv_core::command::{Attempt, Put, PutApplied, PutResult, Replace, WriteOptions};
use kv_core::record::WriteId;

use super::arguments::{ExpiryArguments, KeyArguments, WriteArguments, parse_id};
use super::describe::{applied_json, counted, explain_text, nodes};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::text::printable;

#[derive(Debug, Clone, Args)]
#[command(override_usage = "kv put [OPTIONS] <KEY> <VALUE|--file <FILE>>")]
#[command(group = clap::ArgGroup::new("source").required(true).args(["value", "file"]))]
pub(super) struct Arguments {
    #[command(flatten)]
    key: KeyArguments,
    /// The value, any bytes; - reads it from standard input
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<OsString>,
    /// Read the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArguments,
    #[command(flatten)]
    expires: ExpiryArguments,
    /// The id of the write, 32 hexadecimal digits: with it the put can be tried again (--retry) and is not made twice
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    id: Option<WriteId>,
    /// The put with this id may have been made: read first whether it was
    #[arg(long, requires = "id")]
    retry: bool,
    /// Replace nothing: the value stands beside every other that is there
    #[arg(long, conflicts_with = "context")]
    blind: bool,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let key = arguments.key.key()?;
    let value = value(arguments)?;
    let size = value.len();
    let expires = arguments.expires.expires().unwrap_or_default();
    let mut put = Put::new(arguments.key.bucket.clone(), key.clone(), value).expiring(expires);
    put.replace = match &arguments.write.context {
        Some(context) => Replace::Context(context.clone()),
        None if arguments.blind => Replace::Nothing,
        None => Replace::Overwrite,
    };
    put.options = write_options(&arguments.write, session);
    put.options.attempt = match arguments.id {
        None => Attempt::Only,
        Some(id) if arguments.retry => Attempt::Again(id),
        Some(id) => Attempt::First(id),
    };
    let done = format!("stored {} under {}", counted(size, "byte", "bytes"), printable(key.as_bytes()));
    report(session.client.put(put).await, &done, output)
}

pub(super) fn write_options(arguments: &WriteArguments, session: &Session) -> WriteOptions {
    WriteOptions {
        w: arguments.w,
        r: arguments.r,
        quorum: arguments.quorum,
        timeout_ms: session.timeout_ms(),
        explain: arguments.explain,
        ..WriteOptions::default()
    }
}

/// Says how a write ended.
pub(super) fn report(result: PutResult, done: &str, output: &mut Output) -> Result<Exit, Failure> {
    match result {
        PutResult::Applied(applied) => {
            let text = || {
                let explained =
                    applied.explain.as_deref().map(|explain| format!("\n{}", explain_text(explain)));
                let explained = explained.unwrap_or_default();
                // A delete of nothing is nothing to acknowledge.
                if applied.acks.is_empty() {
                    return format!("{done}\n{explained}");
                }
                format!("{done}, acknowledged by {}\n{explained}", acknowledged(&applied))
            };
            output.say(text, || applied_json(&applied))?;
            Ok(Exit::Done)
        }
        PutResult::NotApplied(error) => Err(Failure::Refused(error)),
        PutResult::Indeterminate(error) => Err(Failure::Indeterminate(error)),
    }
}

fn acknowledged(applied: &PutApplied) -> String {
    let owners = applied.acks.iter().filter(|ack| ack.stands_for.is_none()).map(|ack| ack.node);
    let stand_ins = applied.acks.iter().filter_map(|ack| Some((ack.node, ack.stands_for?)));
    let mut said = Vec::from([nodes(owners)]);
    said.extend(stand_ins.map(|(node, owner)| format!("node {node} for node {owner}")));
    if applied.acks.iter().all(|ack| ack.stands_for.is_some()) {
        said.remove(0);
    }
    said.join(", ")
}

fn value(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    match (&arguments.file, &arguments.value) {
        (Some(file), _) => std::fs::read(file)
            .map_err(|error| Failure::Invalid(format!("cannot read {}: {error}", file.display()))),
        (None, Some(dash)) if dash == "-" => {
            let mut value = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut value);
            read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
            Ok(value)
        }
        (None, value) => Ok(value.clone().unwrap_or_default().into_vec()),
    }
}
