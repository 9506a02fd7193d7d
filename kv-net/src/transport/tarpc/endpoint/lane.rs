//! The connections of one runtime to one peer or address, and what is known of failures to make more.

use std::sync::Arc;

use kv_core::error::ErrorKind;
use kv_core::transport::CallError;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::backoff::pause;
use super::super::connection::Connection;
use super::super::dialer::{Dialer, Target};

/// Connections that calls take in turn, at most one connect under way, and the last failure.
#[derive(Debug, Default)]
pub(super) struct Lane {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    next: usize,
    attempt: Option<Attempt>,
    failure: Option<Failure>,
}

/// Connects that failed, one after the other.
#[derive(Debug)]
struct Failure {
    times: u32,
    retry_at: Instant,
    address: Arc<str>,
    error: CallError,
}

/// How a call goes on.
pub(super) enum Pick {
    /// Over this connection.
    Use(Arc<Connection>),
    /// After this connect.
    Wait(Attempt),
}

/// A connect that is under way; it ends when its sender is dropped.
#[derive(Debug, Clone)]
pub(super) struct Attempt(watch::Receiver<()>);

impl Attempt {
    /// Ends when the connect does, well or not.
    pub(super) async fn ended(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Clears the attempt on every way out of its task, also when its runtime goes away, and then tells those who wait.
struct AttemptGuard {
    lane: Arc<Lane>,
    _ended: watch::Sender<()>,
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.lane.state.lock().attempt = None;
    }
}

impl Lane {
    /// The connection for the next call; starts a connect where one is missing and none failed just now.
    ///
    /// While connects fail, the first call after each pause waits for the next try. All others fail at once with the last error,
    /// so that their callers can turn to other nodes.
    pub(super) fn pick(self: &Arc<Self>, dialer: &Arc<Dialer>, target: &Target) -> Result<Pick, CallError> {
        let version = dialer.identity.version();
        let mut state = self.state.lock();
        state.connections.retain(|connection| connection.is_usable(version));
        let mut started = false;
        if state.connections.len() < dialer.options.connections_per_peer.max(1) && state.attempt.is_none() {
            let Some(address) = dialer.address(target) else {
                return Err(CallError::NotSent(
                    ErrorKind::ConnectionFailed,
                    format!("no address is known for {target}"),
                ));
            };
            if state.failure.as_ref().is_none_or(|failure| failure.may_retry(&address)) {
                state.attempt = Some(self.connect(dialer, target, address));
                started = true;
            }
        }
        state.next = state.next.wrapping_add(1);
        let turn = state.next.checked_rem(state.connections.len()).unwrap_or(0);
        if let Some(connection) = state.connections.get(turn) {
            return Ok(Pick::Use(connection.clone()));
        }
        match (&state.attempt, &state.failure) {
            (_, Some(failure)) if !started => Err(failure.error.clone()),
            (Some(attempt), _) => Ok(Pick::Wait(attempt.clone())),
            (None, _) => Err(CallError::NotSent(ErrorKind::ConnectionFailed, "not connected".into())),
        }
    }

    /// Connects in a task of its own: the call that started it may give up, others wait for it too.
    fn connect(self: &Arc<Self>, dialer: &Arc<Dialer>, target: &Target, address: Arc<str>) -> Attempt {
        let (ended, attempt) = watch::channel(());
        let guard = AttemptGuard { lane: self.clone(), _ended: ended };
        let (dialer, target) = (dialer.clone(), target.clone());
        let life = dialer.lifecycle.clone();
        life.connections.clone().spawn(async move {
            let dialled = tokio::select! {
                dialled = dialer.dial(&target, &address) => dialled,
                () = life.stopping() => {
                    Err(CallError::NotSent(ErrorKind::ShuttingDown, "this transport was shut down".into()))
                }
            };
            guard.lane.record(dialled, &dialer, address);
        });
        Attempt(attempt)
    }

    fn record(&self, dialled: Result<Connection, CallError>, dialer: &Dialer, address: Arc<str>) {
        let mut state = self.state.lock();
        match dialled {
            Ok(connection) => {
                state.failure = None;
                if !dialer.lifecycle.is_stopping() {
                    state.connections.push(Arc::new(connection));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "connect failed");
                let times = state.failure.as_ref().map_or(0, |failure| failure.times).saturating_add(1);
                let pause = pause(times, dialer.options.backoff_min, dialer.options.backoff_max);
                state.failure = Some(Failure { times, retry_at: Instant::now() + pause, address, error });
            }
        }
    }

    pub(super) fn forget_failure(&self) {
        self.state.lock().failure = None;
    }

    pub(super) fn close(&self) {
        self.state.lock().connections.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.connections.is_empty() && state.attempt.is_none()
    }
}

impl Failure {
    fn may_retry(&self, address: &Arc<str>) -> bool {
        self.address != *address || Instant::now() >= self.retry_at
    }
}
