//! Arguments that several commands have.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use clap::Args;
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::causality::ContextToken;
use kv_core::error::Error;
use kv_core::key::Key;

use crate::text::from_hex;

/// A key of a bucket.
#[derive(Debug, Clone, Args)]
pub(super) struct KeyArguments {
    /// The key, any bytes
    #[arg(value_name = "KEY")]
    key: OsString,
    /// The bucket
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET", default_value = "default")]
    pub(super) bucket: String,
}

impl KeyArguments {
    /// The key.
    pub(super) fn key(&self) -> Result<Key, Error> {
        key_of(&self.key)
    }
}

/// The key that was named on the command line.
pub(super) fn key_of(argument: &OsStr) -> Result<Key, Error> {
    Key::new(argument.to_os_string().into_vec())
}

/// What a write replaces and how many have to have it.
#[derive(Debug, Clone, Args)]
pub(super) struct WriteArguments {
    /// Replicas that have to acknowledge: one, quorum, all or a number
    #[arg(long, value_name = "W")]
    pub(super) w: Option<Quorum>,
    /// Replicas that are read before an overwrite: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    pub(super) r: Option<Quorum>,
    /// Replace exactly what was read: the context that a get or put printed
    #[arg(long, value_name = "CONTEXT", value_parser = parse_context)]
    pub(super) context: Option<ContextToken>,
    /// Whose acknowledgements count: strict (owners) or sloppy (also nodes that stand in for absent owners)
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub(super) quorum: Option<QuorumMode>,
    /// Say which replicas acknowledged
    #[arg(long)]
    pub(super) explain: bool,
}

pub(super) fn parse_mode(text: &str) -> Result<QuorumMode, String> {
    match text {
        "strict" => Ok(QuorumMode::Strict),
        "sloppy" => Ok(QuorumMode::Sloppy),
        _ => Err("write strict or sloppy".into()),
    }
}

/// A context as `kv get --context` prints it.
pub(super) fn parse_context(text: &str) -> Result<ContextToken, String> {
    let bytes = from_hex(text).map_err(|error| format!("a context {error}"))?;
    if bytes.is_empty() {
        return Err("the context is empty".into());
    }
    Ok(ContextToken::from_bytes(bytes))
}
