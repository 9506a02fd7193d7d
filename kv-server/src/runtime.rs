//! Current-thread tokio runtimes: one for the program, more for connections if asked for.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// A runtime on the calling thread.
pub(crate) fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Threads with a runtime each, which serve what is spawned on them until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    handles: Vec<Handle>,
    running: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Workers {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let mut workers = Workers::default();
        for index in 0..count {
            let runtime = current_thread()?;
            workers.handles.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel();
            let body = move || {
                // Either way it is over: the sender was dropped or used.
                let _ = runtime.block_on(stopped);
            };
            let thread = thread::Builder::new().name(format!("kv-worker-{}", index + 1)).spawn(body)?;
            workers.running.push((stop, thread));
        }
        Ok(workers)
    }

    /// The runtimes.
    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (stop, thread) in self.running.drain(..) {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}
