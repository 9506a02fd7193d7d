//! `kv export`.

use std::path::{Path, PathBuf};

use clap::Args;
use kv_core::bucket::Quorum;
use kv_core::command::Scan;
use serde_json::json;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::console::complain;
use crate::exit::Exit;
use crate::text::format_count;
use crate::transfer::{Export, ExportError, Exported, FileSink, Format, Progress, Saved};

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// The file to be written, or - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to write [default: as the file's name ends, or jsonl]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write CSV in hexadecimal digits, for keys and values that are no text
    #[arg(long)]
    hex: bool,
    /// The bucket
    #[arg(long, short = 'b', value_name = "NAME", env = "KV_BUCKET", default_value = "default")]
    bucket: String,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Replicas that have to answer: one, quorum, all or a number
    #[arg(long, value_name = "R")]
    r: Option<Quorum>,
    /// Go on where an export into the same file stopped
    #[arg(long)]
    resume: bool,
}

pub(super) async fn run(
    arguments: &Arguments,
    session: &Session,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let file = &arguments.file;
    let is_standard = file.as_os_str() == "-";
    let saved = (!is_standard).then(|| Saved::beside(file));
    let format = arguments.format.or_else(|| Format::of(file)).unwrap_or(Format::Jsonl);
    let begun = Exported {
        bucket: arguments.bucket.clone(),
        prefix: arguments.prefix.clone().into_bytes(),
        writing: format!("{format:?}{}", if arguments.hex { " --hex" } else { "" }).to_lowercase(),
        ..Exported::default()
    };
    let exported = if arguments.resume { resumed(saved.as_ref(), begun)? } else { begun };
    let cannot = |error| Failure::other(format!("cannot write {}: {error}", file.display()));
    let sink = if is_standard {
        FileSink::standard(format, arguments.hex)
    } else if arguments.resume {
        FileSink::resume(file, format, arguments.hex, exported.bytes)
    } else {
        // Before the first page is read nothing is known of the cluster; nothing is to be left behind if there is none.
        session.client.scan(Scan::new(&*arguments.bucket).with_limit(1)).await?;
        FileSink::create(file, format, arguments.hex)
    };
    let sink = sink.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => there_already(file),
        _ => cannot(error),
    })?;
    let mut scan = Scan::new(&*arguments.bucket).with_prefix(arguments.prefix.clone()).with_values();
    scan.r = arguments.r;
    scan.timeout_ms = session.timeout_ms();
    let client = session.client.clone();
    let progress = Progress::new("read", Some(u64::from(u32::MAX)), false, output.is_json() || is_standard);
    let before = exported.keys;
    let ended = Export { client, scan, sink, saved, progress, exported }.run().await;
    let (exported, progress) = ended.map_err(|error| match error {
        ExportError::Cluster(error) => {
            if !is_standard {
                complain("kv: the export stopped; go on with --resume");
            }
            error.into()
        }
        ExportError::File(error) => Failure::other(format!("cannot write {}: {error}", file.display())),
    })?;
    let Exported { keys, with_siblings, expiring, .. } = exported;
    let value = json!({
        "result": "exported",
        "keys": keys,
        "keys_with_several_values": with_siblings,
        "keys_that_expire": expiring,
    });
    if !is_standard {
        let text = format!("{} keys exported {}", format_count(keys), progress.pace(keys - before));
        output.say(|| text, || value)?;
    }
    if with_siblings > 0 && format == Format::Csv {
        complain(&format!(
            "kv: {} keys have several concurrent values, each in a row of its own",
            format_count(with_siblings)
        ));
    }
    if expiring > 0 && format == Format::Csv {
        complain(&format!(
            "kv: {} keys expire, and CSV does not say when: JSON lines do",
            format_count(expiring)
        ));
    }
    Ok(Exit::Done)
}

fn resumed(saved: Option<&Saved>, begun: Exported) -> Result<Exported, Failure> {
    let saved =
        saved.ok_or_else(|| Failure::Invalid("an export to standard output cannot be resumed".into()))?;
    let before: Option<Exported> = saved.read().map_err(Failure::other)?;
    let before = before.ok_or_else(|| {
        let path = saved.path().display();
        Failure::Invalid(format!("there is nothing to resume: {path} is not there"))
    })?;
    if (&before.bucket, &before.prefix) != (&begun.bucket, &begun.prefix) {
        return Err(Failure::Invalid(format!(
            "the export that stopped was of bucket '{}' and another set of keys cannot go on in its file",
            before.bucket
        )));
    }
    if before.writing != begun.writing {
        return Err(Failure::Invalid(format!(
            "the export that stopped wrote {}, not {}: give it the same options",
            before.writing, begun.writing
        )));
    }
    Ok(before)
}

fn there_already(file: &Path) -> Failure {
    let name = file.display();
    Failure::Invalid(format!("{name} is there already: remove it, name another, or go on with --resume"))
}
