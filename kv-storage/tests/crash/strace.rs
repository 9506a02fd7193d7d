use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::child;
use crate::engine::Engine;

/// Calls that change what is on the device, or wait for it.
const DURABLE: &str = "write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,msync,ftruncate,fallocate,\
                       rename,renameat,renameat2,mkdir,mkdirat,link,linkat,unlink,unlinkat";

/// The directory of the store, in its place: making it concerns the place.
pub(crate) const STORE: &str = "store";

/// One system call of the thread that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name, such as `pwrite64`.
    pub(crate) name: String,
    /// Its arguments, the data and the path of the directory left out.
    pub(crate) arguments: String,
    /// Whether it concerns the store.
    pub(crate) is_durable: bool,
    /// Whether it is the line that acknowledges a batch.
    pub(crate) is_acknowledgement: bool,
}

/// What to do with one call.
#[derive(Debug)]
pub(crate) struct Injection<'a> {
    /// The call's name.
    pub(crate) name: &'a str,
    /// Which call of that name in the process, counted from 1.
    pub(crate) when: usize,
    /// `signal=SIGKILL` or `error=EIO`.
    pub(crate) what: &'a str,
}

/// A traced run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) output: Output,
    pub(crate) calls: Vec<Call>,
}

/// Whether strace is installed and may trace. If not, says so by the name of the test, and fails where everything has to run.
pub(crate) fn is_available(test: &str) -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if tried.is_ok_and(|status| status.success()) {
        return true;
    }
    let message = format!("not run: {test}: strace is missing or may not trace: apt-get install strace");
    assert!(env::var_os("KV_FULL_TESTS").is_none(), "{message}");
    eprintln!("{message}");
    false
}

/// Runs the writing process under strace on a store in `place`.
pub(crate) fn run(place: &Path, first: usize, end: usize, injection: Option<&Injection<'_>>) -> Run {
    run_engine(Engine::Lmdb, place, first, end, injection)
}

/// The same with a store of that engine.
pub(crate) fn run_engine(
    engine: Engine,
    place: &Path,
    first: usize,
    end: usize,
    injection: Option<&Injection<'_>>,
) -> Run {
    let log = PathBuf::from(format!("{}.strace", place.display()));
    let mut strace = Command::new("strace");
    // Not with --seccomp-bpf: strace 6.1 then injects nothing.
    strace.args(["-f", "-q", "-y", "-s", "4", "-e", "signal=none"]);
    strace.arg("-o").arg(&log).arg("-e").arg(format!("trace={DURABLE}"));
    if let Some(Injection { name, when, what }) = injection {
        strace.arg("-e").arg(format!("inject={name}:{what}:when={when}"));
    }
    strace.arg(child::program());
    let output =
        child::writing(engine, strace, &place.join(STORE), first, end).output().expect("strace runs");
    let text = fs::read_to_string(&log).expect("the log of strace");
    fs::remove_file(&log).expect("the log of strace");
    Run { output, calls: calls_of_writer(&text, &place.display().to_string()) }
}

/// The calls of the thread that touches the store; strace counts each thread's calls on their own.
fn calls_of_writer(log: &str, directory: &str) -> Vec<Call> {
    let writer = log.lines().find(|line| line.contains(directory)).and_then(|line| line.split_once(' '));
    let Some((writer, _)) = writer else { return Vec::new() };
    let of_writer = log.lines().filter_map(|line| line.strip_prefix(writer)?.strip_prefix(' '));
    of_writer.filter_map(|line| parse(line, directory)).collect()
}

/// Reads a line such as `pwrite64(5</dev/shm/x/data.mdb>, "\0"..., 4096, 8192) = 4096`.
fn parse(line: &str, directory: &str) -> Option<Call> {
    let (name, rest) = line.trim_start().split_once('(')?;
    // A call that was killed, or met an injected error, ends differently from one that returned.
    let (arguments, _) = rest.rsplit_once(')').or_else(|| rest.split_once(" <unfinished"))?;
    let is_durable = arguments.contains(directory);
    let is_acknowledgement = name == "write" && arguments.contains("\"ack ");
    // Descriptors differ from process to process.
    let arguments =
        arguments.replace(directory, "").trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
    Some(Call { name: name.into(), arguments, is_durable, is_acknowledgement })
}
