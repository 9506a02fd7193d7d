//! A second look at a store, in a process of its own: what is damaged may end whoever reads it.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::thread;

use clap::Args;
use kv_core::error::ErrorKind;
use kv_storage::LmdbOptions;
use tokio::process::Command;

use super::decision::Confirmation;
use crate::config::ServerConfig;
use crate::console::complain;
use crate::data_directory::DataDirectory;
use crate::exit::Exit;

/// What the child says first if the store is damaged.
const DAMAGED: &str = "damaged: ";
/// What it says first if it is not.
const SOUND: &str = "sound: ";

/// Signals that end a process which reads what is damaged: LMDB's own check, a page that the file no longer has, an address that is nonsense.
const OF_DAMAGE: [(i32, &str); 3] = [(6, "SIGABRT"), (7, "SIGBUS"), (11, "SIGSEGV")];

/// Opens a store, reads through it, and says whether it is damaged: for a node that cannot open its store.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// The directory of the store
    directory: PathBuf,
    /// As the node opens it
    #[arg(long)]
    map_bytes: usize,
}

/// What a child found, and how it says so.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) found: Confirmation,
    pub(super) says: String,
}

/// Has a child process look at the store.
pub(super) async fn look(config: &ServerConfig, data: &DataDirectory) -> Look {
    let unclear = |says: String| Look { found: Confirmation::Unclear, says };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return unclear(format!("this program cannot find itself: {error}")),
    };
    let mut command = Command::new(program);
    command.arg("check-store").arg(data.store()).args(["--map-bytes", &config.map_bytes.to_string()]);
    // Its standard input ends with this process, and it with that.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return unclear(format!("no process can be started: {error}")),
    };
    let held = child.stdin.take();
    let output = child.wait_with_output().await;
    drop(held);
    match output {
        Ok(output) => judge(&output),
        Err(error) => unclear(format!("the process cannot be waited for: {error}")),
    }
}

fn judge(output: &Output) -> Look {
    let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if let Some(signal) = output.status.signal() {
        return match OF_DAMAGE.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => {
                Look { found: Confirmation::Damaged, says: format!("reading it ends in {name}") }
            }
            None => Look {
                found: Confirmation::Unclear,
                says: format!("the process was ended by signal {signal}"),
            },
        };
    }
    match (output.status.success(), said.strip_prefix(DAMAGED), said.strip_prefix(SOUND)) {
        (true, Some(says), _) => Look { found: Confirmation::Damaged, says: says.into() },
        (true, None, Some(says)) => Look { found: Confirmation::Sound, says: says.into() },
        _ => {
            let says = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Look { found: Confirmation::Unclear, says }
        }
    }
}

/// The child: reads through a store and says what it found.
pub(crate) fn check(arguments: &CheckArguments) -> Exit {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(Exit::Failed as i32);
    });
    let options = LmdbOptions { map_bytes: arguments.map_bytes, ..LmdbOptions::default() };
    match kv_storage::read_through(&arguments.directory, &options) {
        Ok(entries) => crate::cli::print(&format!("{SOUND}{entries} entries\n")),
        Err(error) if error.kind() == ErrorKind::StorageDamaged => {
            crate::cli::print(&format!("{DAMAGED}{error}\n"))
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn found(status: i32, out: &str) -> Confirmation {
        let (stdout, stderr) = (out.as_bytes().to_vec(), b"no right".to_vec());
        judge(&Output { status: ExitStatus::from_raw(status), stdout, stderr }).found
    }

    #[test]
    fn only_what_damage_does_to_a_process_confirms_damage() {
        let exited = |code: i32| code << 8;
        let killed = |signal: i32| signal;
        for (status, out, expected) in [
            (exited(0), "damaged: bad page", Confirmation::Damaged),
            (exited(0), "sound: 3 entries", Confirmation::Sound),
            (exited(0), "", Confirmation::Unclear),
            (exited(1), "", Confirmation::Unclear),
            (exited(1), "damaged: ", Confirmation::Unclear),
            (exited(101), "", Confirmation::Unclear),
            (killed(6), "", Confirmation::Damaged),
            (killed(7), "", Confirmation::Damaged),
            (killed(11), "", Confirmation::Damaged),
            (killed(9), "", Confirmation::Unclear),
            (killed(15), "", Confirmation::Unclear),
        ] {
            assert_eq!(found(status, out), expected, "{status} {out}");
        }
    }
}
