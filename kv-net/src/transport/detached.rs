//! Running a handler so that nobody who stops waiting for its answer stops the handler.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use kv_core::transport::{FrameHandler, Sender};

/// A handler at work. Unlike the handler's own future it never panics: it ends with `None` instead.
pub(super) struct Handling(Pin<Box<dyn Future<Output = Bytes> + Send>>);

impl Future for Handling {
    type Output = Option<Bytes>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(Some(answer)),
            Err(_) => Poll::Ready(None),
        }
    }
}

/// How far a handler came without waiting.
pub(super) enum Begun {
    /// It has finished; `None` if it panicked.
    Finished(Option<Bytes>),
    /// It waits for something and is to be spawned.
    Waiting(Handling),
}

/// Runs the handler up to its first wait, in the task that received the frame.
///
/// Most requests are answered without a wait, and a task for each would cost more than many of them. A future that waits is
/// polled again when it is spawned, with a waker that works, so that nothing is lost by the idle one it is given here.
pub(super) fn begin(handler: &Arc<dyn FrameHandler>, sender: Sender, frame: Bytes) -> Begun {
    let handler = handler.clone();
    let mut handling = Handling(Box::pin(async move { handler.handle(sender, frame).await }));
    match Pin::new(&mut handling).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Begun::Finished(answer),
        Poll::Pending => Begun::Waiting(handling),
    }
}
