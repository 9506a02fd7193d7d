//! `kv import`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kv_core::bucket::Quorum;
use kv_core::command::Scan;
use kv_core::error::Error;
use serde_json::json;

use super::describe::error_json;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::complain;
use crate::exit::Exit;
use crate::text::{format_count, printable, to_hex};
use crate::transfer::{
    Exported, FileSource, Format, Import, ImportError, ImportState, Imported, Mark, Progress, RedisSource,
    Saved, SourceError,
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
    let begun = ImportState { bucket: bucket.clone(), ..ImportState::default() };
    let before = match arguments.resume {
        true => resumed(saved.as_ref(), &bucket)?,
        false => begun.clone(),
    };
    let import = |progress, state: ImportState| Import {
        client: session.client.clone(),
        bucket: bucket.clone(),
        w: arguments.w,
        rate: arguments.rate,
        saved: saved.clone(),
        progress,
        file: arguments.file.clone().filter(|file| file.as_os_str() != "-"),
        state,
    };
    let (before, (imported, ended)) = match (&arguments.from, &arguments.file) {
        (Some(url), _) => {
            let (url, at) = (url.clone(), before.mark.clone());
            let connected = tokio::task::spawn_blocking(move || {
                let mut source = RedisSource::connect(&url, at)?;
                let (life, count) = (source.life()?, crate::transfer::Source::count(&mut source));
                Ok::<_, String>((source, life, count))
            });
            let connected = connected.await.map_err(|error| Failure::other(error.to_string()))?;
            let (mut source, life, count) = connected.map_err(Failure::other)?;
            let mut state = before;
            if arguments.resume && state.reading != life {
                complain("kv: the Redis was started again since: the import begins anew");
                source.rewind();
                state = begun;
            }
            state.reading = life;
            let progress = Progress::new("copied", count, false, output.is_json());
            (state.clone(), import(progress, state).run(source).await)
        }
        (None, Some(file)) => {
            let format = arguments.format.or_else(|| Format::of(file)).unwrap_or(Format::Jsonl);
            let columns = (arguments.key_column.as_deref(), arguments.value_column.as_deref());
            let reading = format!("{format:?} {columns:?}");
            if arguments.resume {
                is_the_same(file, &reading, &before)?;
            } else if saved
                .as_ref()
                .is_some_and(|saved| saved.read::<Exported>().is_ok_and(|of| of.is_some()))
            {
                let file = file.display();
                return Err(Failure::Invalid(format!(
                    "{file} is an export that is not whole: finish it with kv export --resume, or remove {file}.progress"
                )));
            }
            let state = ImportState { reading, ..before };
            let source = FileSource::open(file, format, columns, state.mark.clone(), arguments.skip_bad);
            let source = source.map_err(Failure::Invalid)?;
            let progress = Progress::new("written", FileSource::length(file), true, output.is_json());
            (state.clone(), import(progress, state).run(source).await)
        }
        (None, None) => return Err(Failure::Invalid("name a file, or a Redis with --from".into())),
    };
    if let Err(error) = ended {
        for (key, refused) in &imported.refused {
            complain(&format!("kv: refused: {}: {refused}", printable(key.as_bytes())));
        }
        return Err(stopped(error, saved.is_some()));
    }
    let compared = match &arguments.from {
        Some(_) => Some(compare(&imported, &bucket, session).await),
        None => None,
    };
    report(&imported, &before.mark, compared.as_ref(), output)?;
    let agree = compared.is_none_or(|compared| compared.agree);
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

fn resumed(saved: Option<&Saved>, bucket: &str) -> Result<ImportState, Failure> {
    let saved = saved.ok_or_else(|| Failure::Invalid("standard input cannot be resumed".into()))?;
    let state: Option<ImportState> = saved.read().map_err(Failure::other)?;
    let state = state.ok_or_else(|| {
        let path = saved.path().display();
        Failure::Invalid(format!("there is nothing to resume: {path} is not there"))
    })?;
    if state.bucket != bucket {
        return Err(Failure::Invalid(format!(
            "the import that stopped went into bucket '{}', not '{bucket}': name that one, or begin anew without --resume",
            state.bucket
        )));
    }
    Ok(state)
}

/// Refuses to go on in a file that is another one, or is read in another way.
fn is_the_same(file: &Path, reading: &str, state: &ImportState) -> Result<(), Failure> {
    let name = file.display();
    if state.reading != reading {
        return Err(Failure::Invalid(format!(
            "the import that stopped read {name} as {}, not as {reading}: give it the same options, or begin anew without --resume",
            state.reading
        )));
    }
    let before = FileSource::before(file, state.mark.position);
    let before = before.map_err(|error| Failure::Invalid(format!("cannot read {name}: {error}")))?;
    if before.as_deref() != Some(&state.before) {
        return Err(Failure::Invalid(format!(
            "{name} is not the file of the import that stopped, or was changed: begin anew without --resume"
        )));
    }
    Ok(())
}

fn stopped(error: ImportError, is_resumable: bool) -> Failure {
    if is_resumable {
        complain("kv: the import stopped; what came before is written, go on with --resume");
    }
    match error {
        ImportError::Source(SourceError::Bad(message)) => Failure::Invalid(message),
        ImportError::Source(SourceError::Broken(message)) | ImportError::File(message) => {
            Failure::Other(message)
        }
        // Not as an error of the cluster: those say that nothing was written.
        ImportError::Cluster(error) => Failure::Other(error.to_string()),
    }
}

fn report(
    imported: &Imported,
    before: &Mark,
    compared: Option<&Compared>,
    output: &mut Output,
) -> Result<(), Failure> {
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
            "\n{} keys expire, at the time at which they do in the Redis",
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
    if let Some(compared) = compared {
        text += &format!("\n{}", compared.text);
    }
    let value = json!({
        "result": "imported",
        "keys": written,
        "keys_before": before.entries,
        "left_out": mark.skipped,
        "expiring": mark.expiring,
        "refused": refused_count,
        "refused_first": refused,
        "counts": compared.map(|compared| &compared.value),
    });
    output.say(|| text, || value)?;
    Ok(())
}

/// What counting came to.
struct Compared {
    text: String,
    value: serde_json::Value,
    agree: bool,
}

/// Counts the keys of the bucket, and says whether there are as many as the source has.
async fn compare(imported: &Imported, bucket: &str, session: &Session) -> Compared {
    let left_out: u64 = imported.mark.skipped.values().sum::<u64>() + imported.refused_count;
    let (source, count) = match (imported.source_keys, count(bucket, session).await) {
        (Some(source), Ok(count)) => (source, count),
        (None, _) => return undecided("the Redis did not say how many keys it has"),
        (_, Err(error)) => {
            return undecided(&format!("the keys of the bucket could not be counted: {error}"));
        }
    };
    let expected = source.saturating_sub(left_out);
    let text = match count.cmp(&expected) {
        std::cmp::Ordering::Equal => "the counts agree",
        std::cmp::Ordering::Greater => {
            "the bucket has more, so that this decides nothing: it was not empty before, or the Redis was written to"
        }
        std::cmp::Ordering::Less => {
            "KEYS ARE MISSING: was the Redis written to meanwhile? Import again to be sure"
        }
    };
    let text = format!(
        "the Redis has {} keys, {} of them left out; bucket '{bucket}' has {}: {text}",
        format_count(source),
        format_count(left_out),
        format_count(count)
    );
    let value = json!({
        "source_keys": source,
        "left_out": left_out,
        "bucket_keys": count,
        "agree": count == expected,
    });
    Compared { text, value, agree: count >= expected }
}

fn undecided(why: &str) -> Compared {
    Compared { text: format!("the counts were not compared: {why}"), value: json!(null), agree: false }
}

async fn count(bucket: &str, session: &Session) -> Result<u64, Error> {
    let (mut scan, mut count) = (Scan::new(bucket), 0);
    let mut tries = 0;
    loop {
        match session.client.scan(scan.clone()).await {
            Ok(page) => {
                tries = 0;
                count += page.entries.len() as u64;
                match page.next {
                    Some(next) => scan.from = next,
                    None => return Ok(count),
                }
            }
            Err(error) if error.is_retryable() && tries < 50 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
