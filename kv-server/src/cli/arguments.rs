//! Arguments that several commands have.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::time::UNIX_EPOCH;

use clap::Args;
use kv_core::bucket::{Quorum, QuorumMode};
use kv_core::causality::ContextToken;
use kv_core::command::Expires;
use kv_core::error::Error;
use kv_core::key::Key;
use kv_core::record::WriteId;

use crate::text::{from_hex, parse_duration};

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

/// When a value expires.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct ExpiryArguments {
    /// Let the value expire after this time: 30s, 15m, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_after)]
    expires_in: Option<u64>,
    /// Let the value expire at this time: 2030-01-01T00:00:00Z, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    expires_at: Option<u64>,
    /// Let the value never expire, whatever the bucket says
    #[arg(long)]
    expires_never: bool,
    /// Let the value expire when the one would have that it replaces
    #[arg(long)]
    keep_expiry: bool,
}

impl ExpiryArguments {
    /// When it expires, if that was said.
    pub(super) fn expires(&self) -> Option<Expires> {
        let after = self.expires_in.map(Expires::AfterMs).or(self.expires_at.map(Expires::AtMs));
        let never = self.expires_never.then_some(Expires::Never);
        after.or(never).or(self.keep_expiry.then_some(Expires::Keep))
    }
}

/// A time from now on, in milliseconds.
pub(super) fn parse_after(text: &str) -> Result<u64, String> {
    let after = parse_duration(text)?;
    u64::try_from(after.as_millis()).map_err(|_| format!("'{text}' is too long"))
}

pub(super) fn parse_moment(text: &str) -> Result<u64, String> {
    if let Ok(at_ms) = text.parse() {
        return Ok(at_ms);
    }
    let bad = || format!("'{text}' is no time: write 2030-01-01T00:00:00Z, or milliseconds since 1970");
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| bad())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| bad())?;
    Ok(since.as_millis() as u64)
}

/// The id of a write.
pub(super) fn parse_id(text: &str) -> Result<WriteId, String> {
    let bytes = from_hex(text).map_err(|error| format!("an id {error}"))?;
    bytes.try_into().map(WriteId).map_err(|_| "an id has 32 hexadecimal digits".into())
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
