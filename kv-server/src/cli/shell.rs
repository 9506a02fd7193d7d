//! `kv shell`: one command a line, with history and completion.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Context, Editor, Helper};

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use super::{Command, dispatch};
use crate::console::{complain, say};
use crate::exit::Exit;

/// Lines that are remembered.
const HISTORY_LINES: usize = 1_000;

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
#[command(override_usage = "COMMAND [ARGUMENTS]", help_template = "{all-args}")]
struct Line {
    #[command(subcommand)]
    command: LineCommand,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum LineCommand {
    #[command(flatten)]
    Usual(Command),
    /// Choose the bucket of the commands that follow
    Use {
        /// Its name
        #[arg(value_name = "BUCKET")]
        bucket: String,
    },
    /// Leave the shell
    #[command(alias = "quit")]
    Exit,
}

/// What can be typed next.
struct Words {
    commands: clap::Command,
    buckets: Vec<String>,
}

pub(super) async fn run(session: &Session, output: &mut Output) -> Result<Exit, Failure> {
    let mut bucket = std::env::var("KV_BUCKET").unwrap_or_else(|_| "default".into());
    let info = session.client.cluster().await?;
    let buckets = info.buckets.buckets().map(|(name, _, _)| name.to_string()).collect();
    let is_interactive = std::io::stdin().is_terminal();
    if is_interactive {
        say(b"help lists the commands, use BUCKET chooses a bucket, exit or Ctrl-D leaves\n")?;
    }
    let cannot = |error: ReadlineError| Failure::other(format!("no shell can be had here: {error}"));
    let config = rustyline::Config::builder().auto_add_history(true).max_history_size(HISTORY_LINES);
    let mut editor: Editor<Words, FileHistory> =
        Editor::with_config(config.map_err(cannot)?.build()).map_err(cannot)?;
    editor.set_helper(Some(Words { commands: Line::command(), buckets }));
    let history = history();
    if let Some(history) = &history {
        // There is none the first time.
        let _ = editor.load_history(history);
    }
    let mut exit = Exit::Done;
    loop {
        let prompt = format!("{bucket}> ");
        // The connections go on while somebody types.
        let read = tokio::task::spawn_blocking(move || {
            let line = editor.readline(&prompt);
            (editor, line)
        });
        let line;
        (editor, line) = read.await.map_err(|error| Failure::other(error.to_string()))?;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(cannot(error)),
        };
        match obey(&line, &mut bucket, session, output).await {
            Obeyed::Leave => break,
            Obeyed::Next(Exit::Done) => {}
            Obeyed::Next(failed) if !is_interactive => exit = failed,
            Obeyed::Next(_) => {}
        }
    }
    if let Some(history) = history.filter(|_| is_interactive)
        && let Err(error) = editor.save_history(&history)
    {
        complain(&format!("kv: the history cannot be kept in {}: {error}", history.display()));
    }
    Ok(exit)
}

enum Obeyed {
    Next(Exit),
    Leave,
}

async fn obey(line: &str, bucket: &mut String, session: &Session, output: &mut Output) -> Obeyed {
    let words = match words(line, bucket) {
        Ok(words) if words.is_empty() => return Obeyed::Next(Exit::Done),
        Ok(words) => words,
        Err(error) => {
            complain(&format!("kv: {error}"));
            return Obeyed::Next(Exit::Invalid);
        }
    };
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => return Obeyed::Next(super::say_usage(&error)),
    };
    let ended = match line.command {
        LineCommand::Exit => return Obeyed::Leave,
        LineCommand::Use { bucket: chosen } => match session.client.cluster().await {
            Ok(info) if info.buckets.get(&chosen).is_some() => {
                *bucket = chosen;
                Ok(Exit::Done)
            }
            Ok(_) => Err(Failure::NotFound(format!("there is no bucket '{chosen}'"))),
            Err(error) => Err(error.into()),
        },
        LineCommand::Usual(Command::Shell) => Err(Failure::Invalid("this is the shell".into())),
        LineCommand::Usual(command) => {
            let mut own = Output::in_lines(line.json || output.is_json());
            let ended = Box::pin(dispatch(command, session, &mut own)).await;
            return Obeyed::Next(ended.unwrap_or_else(|failure| failure.report(&mut own)));
        }
    };
    Obeyed::Next(ended.unwrap_or_else(|failure| failure.report(output)))
}

/// The words of a line, with the bucket that was chosen where the command has one and names none.
fn words(line: &str, bucket: &str) -> Result<Vec<String>, String> {
    let mut words = shell_words::split(line).map_err(|error| error.to_string())?;
    let Some(name) = words.first() else { return Ok(words) };
    let line = Line::command();
    let has_bucket = |command: &clap::Command| command.get_arguments().any(|own| own.get_id() == "bucket");
    if name == "use" || !line.find_subcommand(name).is_some_and(has_bucket) {
        return Ok(words);
    }
    // What is wrong with the words is said when they are obeyed.
    let Ok(matches) = line.try_get_matches_from(&words) else { return Ok(words) };
    let takes_it = matches.subcommand().is_some_and(|(_, own)| {
        let is_named = own.value_source("bucket") == Some(clap::parser::ValueSource::CommandLine);
        // What comes from a Redis goes where clients of Redis look for it.
        let is_from_redis =
            own.try_contains_id("from").is_ok() && own.get_raw("from").is_some() && name == "import";
        !is_named && !is_from_redis
    });
    if takes_it {
        words.splice(1..1, ["--bucket".to_string(), bucket.to_string()]);
    }
    Ok(words)
}

/// Where lines are remembered.
fn history() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("KV_HISTORY") {
        return Some(path.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty());
    }
    std::env::home_dir().map(|home| home.join(".kv_history"))
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..position).unwrap_or_default();
        let start = typed.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, word) = typed.split_at_checked(start).unwrap_or_default();
        let fitting = self.next(before).into_iter().filter(|next| next.starts_with(word));
        let pairs = fitting.map(|next| Pair { display: next.clone(), replacement: next + " " });
        Ok((start, pairs.collect()))
    }
}

impl Words {
    /// What may come behind these words.
    fn next(&self, before: &str) -> Vec<String> {
        let words: Vec<&str> = before.split_whitespace().collect();
        if matches!(words.last(), Some(&"use" | &"-b" | &"--bucket")) {
            return self.buckets.clone();
        }
        let mut command = &self.commands;
        for word in words {
            command = command.find_subcommand(word).unwrap_or(command);
        }
        let names = command.get_subcommands().map(|command| command.get_name().to_string());
        let options =
            command.get_arguments().filter_map(|own| own.get_long()).map(|name| format!("--{name}"));
        names.chain(options).collect()
    }
}

impl Helper for Words {}
impl rustyline::hint::Hinter for Words {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Words {}
impl rustyline::validate::Validator for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_of_the_chosen_bucket() {
        let of = |line: &str| words(line, "carts").unwrap();
        assert_eq!(of("get 'a key'"), ["get", "--bucket", "carts", "a key"]);
        assert_eq!(of("get -b other k"), ["get", "-b", "other", "k"]);
        assert_eq!(of("status"), ["status"]);
        assert_eq!(of("use other"), ["use", "other"]);
        assert!(of("  ").is_empty());
        assert!(words("get 'a", "carts").is_err());
        assert!(Line::try_parse_from(of("scan user: --limit 3 --json")).is_ok());
        assert!(Line::try_parse_from(of("nosuch")).is_err());
    }

    #[test]
    fn what_can_follow_is_offered() {
        let words = Words { commands: Line::command(), buckets: vec!["carts".into()] };
        let offered = |before: &str, next: &str| words.next(before).contains(&next.to_string());
        assert!(offered("", "get") && offered("", "use") && offered("", "bucket"));
        assert!(offered("use ", "carts") && offered("scan --bucket ", "carts"));
        assert!(offered("scan ", "--values") && offered("bucket ", "create"));
    }
}
