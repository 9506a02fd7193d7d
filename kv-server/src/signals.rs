//! When to stop: SIGTERM, SIGINT, or the end of standard input for a node that another process looks after.

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Why a program was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// SIGTERM.
    Terminated,
    /// SIGINT, which Ctrl-C sends.
    Interrupted,
    /// Whoever started the program has gone, or wants it to go.
    ParentGone,
}

/// Waits for requests to stop, each of which is told once.
#[derive(Debug)]
pub(crate) struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
    parent: Option<mpsc::Receiver<()>>,
}

impl StopRequests {
    /// Begins to listen; with `stop_at_end_of_input` to standard input as well.
    pub(crate) fn listen(stop_at_end_of_input: bool) -> io::Result<Self> {
        let parent = if stop_at_end_of_input { Some(end_of_input()?) } else { None };
        Ok(StopRequests {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            parent,
        })
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> StopReason {
        let parent = async {
            match &mut self.parent {
                Some(parent) => {
                    parent.recv().await;
                    self.parent = None;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => StopReason::Terminated,
            _ = self.interrupt.recv() => StopReason::Interrupted,
            () = parent => StopReason::ParentGone,
        }
    }
}

/// A pipe from the parent is closed when the parent ends, however it ends: that needs neither a signal nor unsafe code.
fn end_of_input() -> io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    let wait = move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = sender.blocking_send(());
    };
    thread::Builder::new().name("kv-parent".into()).spawn(wait)?;
    Ok(receiver)
}
