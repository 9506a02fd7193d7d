//! Whether a transport runs, is finishing, or has ended, and the tasks that have to follow.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest wait for sockets to be closed once nothing is to be finished any more.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(500);

/// The life of one transport.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    stopping: AtomicBool,
    stop: CancellationToken,
    end: CancellationToken,
    /// Tasks that own a socket.
    pub(super) connections: TaskTracker,
    /// Handlers that are at work.
    pub(super) handlers: TaskTracker,
}

impl Lifecycle {
    /// Whether shutting down has begun.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends when shutting down begins.
    pub(super) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Runs `work` in one task until it is done, or until the transport has ended. `None` says that it was ended.
    pub(super) async fn until_end<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut wakers = pin!(async { tokio::join!(self.stop.cancelled(), self.end.cancelled()) });
        let mut registered = false;
        std::future::poll_fn(move |context| {
            // The waker of a task stays the same, so registering it once is enough: polling the tokens each time takes their locks.
            if !registered || (self.is_stopping() && self.end.is_cancelled()) {
                registered = true;
                if wakers.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Stops what receives, lets what runs finish within `grace`, then ends every connection.
    pub(super) async fn shut_down(&self, grace: Duration) {
        self.stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.connections.close();
        self.handlers.close();
        let finished = async { tokio::join!(self.connections.wait(), self.handlers.wait()) };
        if tokio::time::timeout(grace, finished).await.is_err() {
            self.end.cancel();
            // Tasks end as soon as their runtimes run them, and this one does not depend on other runtimes.
            let _ = tokio::time::timeout(CLOSE_TIME_MAX, self.connections.wait()).await;
        }
    }

    /// Stops and ends everything, without waiting for it.
    pub(super) fn abandon(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.end.cancel();
    }
}
