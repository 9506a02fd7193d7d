//! `kv bucket`.

use std::time::Duration;

use clap::{Args, Subcommand};
use kv_core::bucket::{BucketProperties, Quorum, QuorumMode};
use kv_core::error::{Error, ErrorKind};
use kv_core::storage::Durability;
use kv_core::wire::BucketChange;
use serde_json::{Value, json};

use super::arguments::{parse_after, parse_mode};
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::exit::Exit;
use crate::text::{Table, format_duration, format_size, parse_size};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Create a bucket
    Create {
        /// Its name: a-z 0-9 _ - .
        name: String,
        #[command(flatten)]
        properties: Properties,
    },
    /// List the buckets
    List,
    /// Show the properties of a bucket
    Show {
        /// Its name
        name: String,
    },
    /// Change properties of a bucket
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        properties: Properties,
    },
    /// Delete a bucket and everything in it
    Delete {
        /// Its name
        name: String,
        /// Yes, delete everything in it
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub(super) struct Properties {
    /// Replicas of each key
    #[arg(long, value_name = "N")]
    n: Option<u8>,
    /// Replicas that a get needs: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    r: Option<Quorum>,
    /// Replicas that a put needs: one, quorum, all or a number
    #[arg(long, value_name = "W")]
    w: Option<Quorum>,
    /// Fewest acknowledgements that a put may ask for
    #[arg(long, value_name = "NUMBER")]
    w_min: Option<u8>,
    /// Whose acknowledgements and answers count: sloppy (owners, and nodes that stand in for absent ones) or strict (owners)
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    quorum: Option<QuorumMode>,
    /// What is done with concurrent values: siblings, last_write_wins, or a resolver of the server
    #[arg(long, value_name = "NAME")]
    resolver: Option<String>,
    /// When a write counts as stored: synced or buffered
    #[arg(long, value_name = "WHEN", value_parser = parse_durability)]
    durability: Option<Durability>,
    /// Largest value
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    value_bytes_max: Option<u32>,
    /// Most concurrent values of a key
    #[arg(long, value_name = "NUMBER")]
    siblings_max: Option<u32>,
    /// How long after a put a value expires that says nothing else: a time (30s, 7d) or never
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
    expiry_ms: Option<Expiry>,
}

/// When values of a bucket expire.
#[derive(Debug, Clone, Copy)]
enum Expiry {
    Never,
    AfterMs(u64),
}

impl Properties {
    fn apply(&self, mut to: BucketProperties) -> BucketProperties {
        to.n = self.n.unwrap_or(to.n);
        to.r = self.r.unwrap_or(to.r);
        to.w = self.w.unwrap_or(to.w);
        to.w_min = self.w_min.unwrap_or(to.w_min);
        to.quorum = self.quorum.unwrap_or(to.quorum);
        to.resolver = self.resolver.clone().unwrap_or(to.resolver);
        to.durability = self.durability.unwrap_or(to.durability);
        to.value_bytes_max = self.value_bytes_max.or(to.value_bytes_max);
        to.siblings_max = self.siblings_max.or(to.siblings_max);
        to.expiry_ms = match self.expiry_ms {
            None => to.expiry_ms,
            Some(Expiry::Never) => None,
            Some(Expiry::AfterMs(after_ms)) => Some(after_ms),
        };
        to
    }
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "synced" => Ok(Durability::Synced),
        "buffered" => Ok(Durability::Buffered),
        _ => Err("write synced or buffered".into()),
    }
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        _ => parse_after(text).map(Expiry::AfterMs),
    }
}

fn parse_bytes(text: &str) -> Result<u32, String> {
    u32::try_from(parse_size(text)?).map_err(|_| format!("{text} is too large"))
}

pub(super) async fn run(command: &Command, session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Create { name, properties } => {
            let defaults = defaults(session).await?;
            let change = BucketChange::Create(name.clone(), properties.apply(defaults));
            changed(session, change, name, "created", output).await
        }
        Command::Set { name, properties } => {
            let before = properties_of(session, name).await?;
            if properties.apply(before.clone()) == before {
                return Err(Failure::Invalid(format!(
                    "nothing of bucket '{name}' would change: name a property and a new value"
                )));
            }
            let change = BucketChange::Set(name.clone(), properties.apply(before));
            changed(session, change, name, "changed", output).await
        }
        Command::Delete { name, yes: true } => {
            changed(session, BucketChange::Delete(name.clone()), name, "deleted", output).await
        }
        Command::Delete { name, yes: false } => {
            Err(Failure::Invalid(format!("this deletes everything in bucket '{name}' for ever: say --yes")))
        }
        Command::List => list(session, output).await,
        Command::Show { name } => {
            let properties = properties_of(session, name).await?;
            output.say(|| show(name, &properties), || bucket_json(name, &properties))?;
            Ok(Exit::Done)
        }
    }
}

/// The properties that a new bucket has unless told otherwise: those of `default`, whose N suits the cluster.
async fn defaults(session: &Session) -> Result<BucketProperties, Failure> {
    let info = session.client.cluster().await?;
    let like = info.buckets.get("default").map(|(_, properties)| properties.clone()).unwrap_or_default();
    Ok(BucketProperties { n: like.n, durability: like.durability, ..BucketProperties::default() })
}

async fn properties_of(session: &Session, name: &str) -> Result<BucketProperties, Failure> {
    let info = session.client.cluster().await?;
    match info.buckets.get(name) {
        Some((_, properties)) => Ok(properties.clone()),
        None => Err(Error::new(ErrorKind::UnknownBucket, format!("there is no bucket '{name}'")).into()),
    }
}

async fn changed(
    session: &Session,
    change: BucketChange,
    name: &str,
    done: &str,
    output: &mut Output,
) -> Result<Exit, Failure> {
    session.client.change_bucket(change).await?;
    output.say(|| format!("bucket {name} {done}"), || json!({ "result": done, "bucket": name }))?;
    Ok(Exit::Done)
}

async fn list(session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    let info = session.client.cluster().await?;
    let text = || {
        let mut table = Table::new(["BUCKET", "N", "R", "W", "QUORUM", "RESOLVER", "DURABILITY"]);
        for (name, _, properties) in info.buckets.buckets() {
            table.row([
                name.to_string(),
                properties.n.to_string(),
                properties.r.to_string(),
                properties.w.to_string(),
                mode(properties.quorum).into(),
                properties.resolver.clone(),
                durability(properties.durability).into(),
            ]);
        }
        table.to_string()
    };
    let value =
        || info.buckets.buckets().map(|(name, _, properties)| bucket_json(name, properties)).collect();
    output.say(text, value)?;
    Ok(Exit::Done)
}

fn show(name: &str, properties: &BucketProperties) -> String {
    let node = || "as the node allows".to_string();
    format!(
        "bucket:           {name}\n\
         n:                {}\n\
         r:                {}\n\
         w:                {}\n\
         w_min:            {}\n\
         quorum:           {}\n\
         resolver:         {}\n\
         durability:       {}\n\
         value_bytes_max:  {}\n\
         siblings_max:     {}\n\
         expiry_ms:        {}",
        properties.n,
        properties.r,
        properties.w,
        properties.w_min,
        mode(properties.quorum),
        properties.resolver,
        durability(properties.durability),
        properties.value_bytes_max.map_or_else(node, |bytes| format_size(bytes.into())),
        properties.siblings_max.map_or_else(node, |count| count.to_string()),
        properties.expiry_ms.map_or_else(
            || "values never expire unless they say so".to_string(),
            |after_ms| format_duration(Duration::from_millis(after_ms))
        ),
    )
}

fn mode(mode: QuorumMode) -> &'static str {
    match mode {
        QuorumMode::Strict => "strict",
        QuorumMode::Sloppy => "sloppy",
    }
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Synced => "synced",
        Durability::Buffered => "buffered",
    }
}

fn bucket_json(name: &str, properties: &BucketProperties) -> Value {
    json!({ "bucket": name, "properties": properties })
}
