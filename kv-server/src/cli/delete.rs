//! `kv delete`.

use clap::Args;
use kv_core::command::{Put, PutResult, Replace};

use super::arguments::{KeyArguments, WriteArguments};
use super::failure::Failure;
use super::output::Output;
use super::put::{report, write_options};
use super::session::Session;
use crate::exit::Exit;
use crate::text::printable;

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    write: WriteArguments,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let key = arguments.key.key()?;
    let mut delete = Put::delete(arguments.key.bucket.clone(), key.clone());
    if let Some(context) = &arguments.write.context {
        delete.replace = Replace::Context(context.clone());
    }
    delete.options = write_options(&arguments.write, session);
    let shown = printable(key.as_bytes());
    match session.client.put(delete).await {
        // A delete is done when the key is not there, whoever did it.
        PutResult::Applied(applied) if applied.dot.is_none() => {
            report(PutResult::Applied(applied), &format!("there was nothing under {shown}"), output)
        }
        result => report(result, &format!("deleted {shown}"), output),
    }
}
