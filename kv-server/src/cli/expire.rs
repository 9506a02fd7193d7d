//! `kv expire`.

use clap::Args;
use kv_core::command::{Expires, Put, PutResult};

use super::arguments::{KeyArguments, WriteArguments, parse_after, parse_moment};
use super::failure::Failure;
use super::output::Output;
use super::put::{report, write_options};
use super::session::Session;
use crate::exit::Exit;
use crate::text::printable;

#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["after", "at", "never"]))]
pub(super) struct Arguments {
    #[command(flatten)]
    key: KeyArguments,
    /// After this time: 30s, 15m, 7d
    #[arg(long = "in", value_name = "TIME", value_parser = parse_after)]
    after: Option<u64>,
    /// At this time: 2030-01-01T00:00:00Z, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<u64>,
    /// Never
    #[arg(long)]
    never: bool,
    #[command(flatten)]
    write: WriteArguments,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let key = arguments.key.key()?;
    let when = arguments.after.map(Expires::AfterMs).or(arguments.at.map(Expires::AtMs));
    let mut change = Put::expire(arguments.key.bucket.clone(), key.clone(), when.unwrap_or(Expires::Never));
    if arguments.write.context.is_some() {
        return Err(Failure::Invalid("the expiry of what is there is changed: no context is taken".into()));
    }
    change.options = write_options(&arguments.write, session);
    let shown = printable(key.as_bytes());
    match session.client.put(change).await {
        PutResult::Applied(applied) if applied.dot.is_none() => {
            Err(Failure::NotFound(format!("no value under {shown}")))
        }
        result => report(result, &format!("changed when {shown} expires"), output),
    }
}
