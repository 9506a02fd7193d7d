//! The connections to one peer or address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kv_core::error::ErrorKind;
use kv_core::transport::CallError;
use tokio::time::Instant;

use super::connection::Connection;
use super::dialer::{Dialer, Target};
use crate::transport::identity::RemoteIdentity;

mod lane;

use lane::{Lane, Pick};

/// All that leads to one peer or address: for each runtime a lane of connections, and the bound on what is in flight.
#[derive(Debug)]
pub(super) struct Endpoint {
    dialer: Arc<Dialer>,
    target: Target,
    lanes: Box<[Arc<Lane>]>,
    in_flight: AtomicUsize,
}

/// One request in flight, until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    pub(super) fn new(dialer: Arc<Dialer>, target: Target) -> Self {
        let lanes = (0..dialer.options.runtimes.len().max(1)).map(|_| Arc::new(Lane::default())).collect();
        Endpoint { dialer, target, lanes, in_flight: AtomicUsize::new(0) }
    }

    /// Carries one frame over one of the connections, made now if there is none.
    pub(super) async fn call(&self, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let options = &self.dialer.options;
        if frame.len() > options.frame_bytes_max {
            return Err(CallError::NotSent(
                ErrorKind::FrameTooLarge,
                format!(
                    "a frame of {} bytes is above frame_bytes_max = {}",
                    frame.len(),
                    options.frame_bytes_max
                ),
            ));
        }
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _in_flight = InFlight(&self.in_flight);
        if before >= options.requests_in_flight_max {
            return Err(CallError::NotSent(
                ErrorKind::Overloaded,
                format!("{before} requests are in flight to there already (requests_in_flight_max)"),
            ));
        }
        // Most calls find a connection at once and need no clock here.
        let (connection, left) = match self.lane()?.pick(&self.dialer, &self.target)? {
            Pick::Use(connection) => (connection, deadline),
            Pick::Wait(attempt) => self.wait(attempt, deadline).await?,
        };
        connection.call(frame, left).await
    }

    /// Who is at the other end, connecting if need be.
    pub(super) async fn identify(&self, deadline: Duration) -> Result<RemoteIdentity, CallError> {
        match self.lane()?.pick(&self.dialer, &self.target)? {
            Pick::Use(connection) => Ok(connection.remote()),
            Pick::Wait(attempt) => {
                self.wait(attempt, deadline).await.map(|(connection, _)| connection.remote())
            }
        }
    }

    /// Waits for a connect that is under way, and says how much of the deadline it left.
    async fn wait(
        &self,
        mut attempt: lane::Attempt,
        deadline: Duration,
    ) -> Result<(Arc<Connection>, Duration), CallError> {
        let begun = Instant::now();
        loop {
            let left = deadline.saturating_sub(begun.elapsed());
            if tokio::time::timeout(left, attempt.ended()).await.is_err() {
                return Err(CallError::NotSent(
                    ErrorKind::DeadlineExceeded,
                    format!("no connection within {deadline:?}"),
                ));
            }
            match self.lane()?.pick(&self.dialer, &self.target)? {
                Pick::Use(connection) => {
                    return Ok((connection, deadline.saturating_sub(begun.elapsed())));
                }
                Pick::Wait(next) => attempt = next,
            }
        }
    }

    /// Lets the next call connect at once, because the other side has just shown itself.
    pub(super) fn forget_failures(&self) {
        for lane in &self.lanes {
            lane.forget_failure();
        }
    }

    /// Lets go of all connections; each closes when the last call over it has ended.
    pub(super) fn close(&self) {
        for lane in &self.lanes {
            lane.close();
        }
    }

    /// Whether nothing is connected, connecting or in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0 && self.lanes.iter().all(|lane| lane.is_empty())
    }

    /// The lane of this thread: a call over a connection of its own runtime wakes no other thread.
    fn lane(&self) -> Result<&Arc<Lane>, CallError> {
        if self.dialer.lifecycle.is_stopping() {
            return Err(CallError::NotSent(ErrorKind::ShuttingDown, "this transport was shut down".into()));
        }
        let lane = if self.lanes.len() == 1 { 0 } else { thread_number() % self.lanes.len() };
        self.lanes
            .get(lane)
            .ok_or_else(|| CallError::NotSent(ErrorKind::Internal, "an endpoint without lanes".into()))
    }
}

/// Numbers the threads in the order in which they first call.
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
