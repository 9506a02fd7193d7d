//! `kv import`.

use std::path::{Path, PathBuf};

use clap::Args;
use kv_core::bucket::Quorum;
use kv_core::command::Scan;
use serde_json::json;

use super::describe::error_json;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::complain;
use crate::exit::Exit;
use crate::text::{format_count, printable, to_hex};
use crate::transfer::{
    FileSource, Format, Import, ImportError, Imported, Mark, Progress, RedisSource, Saved, SourceError,
};

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// The file to be read, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Copy the strings of a Redis instead: redis://host:port/database
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// What the file is [default: as its name ends, or jsonl]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Heading of the column with the keys of a CSV file
    #[arg(long, value_name = "NAME")]
    key_column: Option<String>,
    /// Heading of the column with the values of a CSV file
    #[arg(long, value_name = "NAME")]
    value_column: Option<String>,
    /// The bucket [default: default; with --from: redis]
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET")]
    bucket: Option<String>,
    /// Replicas that have to acknowledge: one, quorum, all or a number
    #[arg(long, value_name = "W")]
    w: Option<Quorum>,
    /// Most keys a second
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Leave out lines that are no entries, instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Go on where an import from the same source stopped
    #[arg(long)]
    resume: bool,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(rate),
        _ => Err("write a number of keys a second, as in 5000".into()),
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let usual = if arguments.from.is_some() { "redis" } else { "default" };
    let bucket = arguments.bucket.clone().unwrap_or_else(|| usual.into());
    // A cluster that is not there, or a bucket, is better said before anything is read.
    session.client.scan(Scan::new(&*bucket).with_limit(1)).await?;
    let saved = saved(arguments);
    let mark = if arguments.resume { resumed(saved.as_ref())? } else { Mark::default() };
    let before = mark.clone();
    let import = |progress, by_position| Import {
        client: session.client.clone(),
        bucket: bucket.clone(),
        w: arguments.w,
        rate: arguments.rate,
        saved,
        progress,
        by_position,
        mark: mark.clone(),
    };
    let ended = match (&arguments.from, &arguments.file) {
        (Some(url), _) => {
            let (url, at) = (url.clone(), mark.clone());
            let connected = tokio::task::spawn_blocking(move || {
                let mut source = RedisSource::connect(&url, at)?;
                let count = crate::transfer::Source::count(&mut source);
                Ok::<_, String>((source, count))
            });
            let connected = connected.await.map_err(|error| Failure::other(error.to_string()))?;
            let (source, count) = connected.map_err(Failure::other)?;
            let progress = Progress::new("copied", count, false, output.is_json());
            import(progress, false).run(source).await
        }
        (None, Some(file)) => {
            let format = arguments.format.or_else(|| Format::of(file)).unwrap_or(Format::Jsonl);
            let columns = (arguments.key_column.as_deref(), arguments.value_column.as_deref());
            let source = FileSource::open(file, format, columns, mark.clone(), arguments.skip_bad);
            let source = source.map_err(Failure::Invalid)?;
            let progress = Progress::new("written", FileSource::length(file), true, output.is_json());
            import(progress, true).run(source).await
        }
        (None, None) => return Err(Failure::Invalid("name a file, or a Redis with --from".into())),
    };
    let imported = ended.map_err(|error| stopped(error, arguments))?;
    report(&imported, &before, output)?;
    let agree = match imported.source_keys {
        Some(keys) => compare(keys, &imported, &bucket, session, output).await?,
        None => true,
    };
    Ok(if imported.refused_count == 0 && agree { Exit::Done } else { Exit::Failed })
}

/// Where it is kept how far the import came; nowhere for standard input.
fn saved(arguments: &Arguments) -> Option<Saved> {
    match (&arguments.from, &arguments.file) {
        (Some(url), _) => {
            let name: String =
                url.rsplit('@').next().unwrap_or_default().trim_start_matches("redis://").into();
            let name: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            Some(Saved::beside(Path::new(&format!("kv-import-{name}"))))
        }
        (None, Some(file)) if file.as_os_str() != "-" => Some(Saved::beside(file)),
        _ => None,
    }
}

fn resumed(saved: Option<&Saved>) -> Result<Mark, Failure> {
    let saved = saved.ok_or_else(|| Failure::Invalid("standard input cannot be resumed".into()))?;
    let mark = saved.read().map_err(Failure::other)?;
    mark.ok_or_else(|| {
        let path = saved.path().display();
        Failure::Invalid(format!("there is nothing to resume: {path} is not there"))
    })
}

fn stopped(error: ImportError, arguments: &Arguments) -> Failure {
    if saved(arguments).is_some() {
        complain("kv: the import stopped; what came before is written, go on with --resume");
    }
    match error {
        ImportError::Source(SourceError::Bad(message)) => Failure::Invalid(message),
        ImportError::Source(SourceError::Broken(message)) | ImportError::File(message) => {
            Failure::Other(message)
        }
        ImportError::Cluster(error) => error.into(),
    }
}

fn report(imported: &Imported, before: &Mark, output: &mut Output) -> Result<(), Failure> {
    let Imported { mark, written, refused, refused_count, pace, .. } = imported;
    let mut text = format!("{} keys imported {pace}", format_count(*written));
    if before.entries > 0 {
        text += &format!("; {} before", format_count(before.entries));
    }
    for (what, count) in &mark.skipped {
        text += &format!("\nleft out: {} {what}", format_count(*count));
    }
    if mark.expiring > 0 {
        text += &format!(
            "\n{} keys expire in the Redis and are kept for good here: expiry is not in this release",
            format_count(mark.expiring)
        );
    }
    if *refused_count > 0 {
        text += &format!("\n{} keys were refused:", format_count(*refused_count));
        for (key, error) in refused {
            text += &format!("\n  {}: {error}", printable(key.as_bytes()));
        }
    }
    let refused: Vec<_> = refused
        .iter()
        .map(|(key, error)| json!({ "key_hex": to_hex(key.as_bytes()), "error": error_json(error) }))
        .collect();
    let value = json!({
        "result": "imported",
        "keys": written,
        "keys_before": before.entries,
        "left_out": mark.skipped,
        "expiring": mark.expiring,
        "refused": refused_count,
        "refused_first": refused,
    });
    output.say(|| text, || value)?;
    Ok(())
}

/// Counts the keys of the bucket, and says whether there are as many as the source has.
async fn compare(
    source: u64,
    imported: &Imported,
    bucket: &str,
    session: &Session,
    output: &mut Output,
) -> Result<bool, Failure> {
    let left_out: u64 = imported.mark.skipped.values().sum::<u64>() + imported.refused_count;
    let expected = source.saturating_sub(left_out);
    let mut scan = Scan::new(bucket);
    let mut count = 0;
    loop {
        let page = session.client.scan(scan.clone()).await?;
        count += page.entries.len() as u64;
        match page.next {
            Some(next) => scan.from = next,
            None => break,
        }
    }
    let text = match count.cmp(&expected) {
        std::cmp::Ordering::Equal => "the counts agree".to_string(),
        std::cmp::Ordering::Greater => {
            "the bucket has more: it was not empty before, or the Redis was written to".into()
        }
        std::cmp::Ordering::Less => {
            "KEYS ARE MISSING: was the Redis written to meanwhile? Import again to be sure".into()
        }
    };
    let text = format!(
        "the Redis has {} keys, {} of them left out; bucket '{bucket}' has {}: {text}",
        format_count(source),
        format_count(left_out),
        format_count(count)
    );
    let value = json!({ "source_keys": source, "left_out": left_out, "bucket_keys": count });
    output.say(|| text, || value)?;
    Ok(count >= expected)
}
