//! A `kv-server` process.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::executable;

/// Nothing here takes longer, on however slow a machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What surrounds a process.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The file of the network namespace in which it runs, if that is another than this program's.
    pub namespace: Option<PathBuf>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// A process that ends with whoever started it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `kv-server`, which writes to the end of the file `log`.
    ///
    /// To be called on a thread that lives as long as the process is needed: it is killed when that thread ends.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started.
    pub fn start<A: AsRef<OsStr>>(
        surroundings: &Surroundings,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(executable::kv_server()?);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KV_")) {
            command.env_remove(name);
        }
        command.envs(surroundings.environment.iter().map(|(name, value)| (name, value)));
        let namespace = surroundings.namespace.as_ref().map(File::open).transpose();
        let namespace = namespace.context("cannot open the network namespace")?;
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let parent = std::process::id();
        // SAFETY: between fork and exec only system calls are made, all safe for use after a fork.
        unsafe {
            command.pre_exec(move || {
                if let Some(namespace) = &namespace
                    && libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) != 0
                {
                    return Err(std::io::Error::last_os_error());
                }
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The parent may have ended before.
                if libc::getppid() as u32 != parent {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let child = command.spawn().context("cannot start kv-server")?;
        Ok(Server { child, log: log.to_path_buf() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for while this borrows it, so the id is still its own.
        unsafe {
            libc::kill(self.child.id() as i32, signal);
        }
    }

    /// Kills it at once, if it still runs.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end, or not in good order.
    pub async fn terminate(self) -> anyhow::Result<()> {
        self.signal(libc::SIGTERM);
        let log = self.log.clone();
        let status = self.ended().await?;
        if !status.success() {
            bail!("a node that was asked to stop ended with {status}; {}", tail(&log));
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn ended(mut self) -> anyhow::Result<ExitStatus> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("a process hangs; {}", tail(&self.log));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test, which fails if it hangs.
pub async fn within<F: Future>(time: Duration, test: F) -> F::Output {
    tokio::time::timeout(time, test)
        .await
        .unwrap_or_else(|_| panic!("not done within {time:?}: something hangs"))
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(20)..];
    format!("the end of its log:\n{}", last.join("\n"))
}
