use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use kv_core::causality::Stamp;
use kv_core::command::{Put, PutResult};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{ClusterId, Incarnation, TraceId};
use kv_core::transport::CallError;
use kv_core::wire::{Answer, AnswerBody, Header, Request, RequestBody, decode_answer, encode_request};

use crate::client::ClientBuilder;
use crate::client::health::Health;
use crate::client::routing::{Route, Routing};
use crate::transport::ClientTransport;

/// A share of an operation's time that one node is given before a read is tried at the next.
pub(super) const ATTEMPTS: u32 = 3;

/// Pause before all nodes are tried again, when every one of them could not help.
const PAUSE: Duration = Duration::from_millis(20);

/// What clones of a client share, and how it calls nodes.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) builder: ClientBuilder,
    pub(super) transport: Arc<dyn ClientTransport>,
    pub(super) routing: ArcSwapOption<Routing>,
    pub(super) health: Health,
    pub(super) refreshing: tokio::sync::Mutex<()>,
}

impl Inner {
    pub(super) async fn routing(&self, end: Instant) -> Result<Arc<Routing>, Error> {
        if let Some(routing) = self.routing.load_full() {
            return Ok(routing);
        }
        let found = async {
            let refreshing = self.refreshing.lock().await;
            // Whoever held the lock before may have found it.
            match self.routing.load_full() {
                Some(routing) => Ok(routing),
                None => self.refresh(refreshing).await,
            }
        };
        let in_time = tokio::time::timeout_at(end.into(), found).await;
        in_time.unwrap_or_else(|_| {
            let seeds = self.builder.seeds.join(", ");
            Err(Error::new(
                ErrorKind::DeadlineExceeded,
                format!("none of {seeds} said in time what the cluster is"),
            ))
        })
    }

    /// Asks the seeds, and the nodes known already, what the cluster looks like.
    pub(super) async fn refresh(
        &self,
        _refreshing: tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<Arc<Routing>, Error> {
        let known = self.routing.load_full();
        let mut addresses: Vec<Arc<str>> =
            known.map(|routing| routing.any(&self.health).into_vec()).unwrap_or_default();
        addresses.extend(self.builder.seeds.iter().map(|seed| seed.as_str().into()));
        let mut last = None;
        for address in addresses {
            let patience = self.builder.timeout.min(Duration::from_secs(2));
            match self.ask(&address, RequestBody::Cluster, patience).await {
                Ok(AnswerBody::Cluster(info))
                    if info.layout.as_ref().is_some_and(|layout| layout.check().is_ok()) =>
                {
                    let routing = Arc::new(Routing::new(*info, &self.builder.partitioners));
                    self.routing.store(Some(routing.clone()));
                    return Ok(routing);
                }
                Ok(_) => {
                    let message =
                        format!("the node at {address} belongs to no cluster yet: run kv cluster init");
                    last = Some(Error::new(ErrorKind::Unavailable, message));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_node))
    }

    /// One request to one node; an answer that refuses it is an error.
    pub(super) async fn ask(
        &self,
        address: &str,
        body: RequestBody,
        patience: Duration,
    ) -> Result<AnswerBody, Error> {
        let cluster = self
            .routing
            .load()
            .as_ref()
            .and_then(|routing| routing.info.layout.as_ref().map(|l| l.cluster()));
        let answer = self.call(cluster, address, &body, patience).await;
        match answer.map_err(|error| explain(&error, address))?.body {
            AnswerBody::Refused(error) => Err(error),
            body => Ok(body),
        }
    }

    async fn call(
        &self,
        cluster: Option<ClusterId>,
        address: &str,
        body: &RequestBody,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let header = Header {
            cluster: cluster.unwrap_or(ClusterId(0)),
            layout: 0,
            incarnation: Incarnation(0),
            clock: Stamp(0),
            buckets: 0,
            trace: TraceId::NONE,
        };
        let frame = encode_request(&Request { header, body: body.clone() });
        let answer = self.transport.call(address, frame, patience).await?;
        decode_answer(&answer).map_err(|error| CallError::NoAnswer(error.kind(), error.message().to_string()))
    }

    /// Tries a read at one node after the other, each for a share of the time, until one answers.
    pub(super) async fn read(
        &self,
        routing: &Arc<Routing>,
        route: Route,
        body: RequestBody,
        end: Instant,
    ) -> Result<AnswerBody, Error> {
        let cluster = routing.info.layout.as_ref().map(|layout| layout.cluster());
        let share = end.saturating_duration_since(Instant::now()) / ATTEMPTS;
        let mut last = None;
        loop {
            if route.is_empty() {
                return Err(no_node());
            }
            for address in &route {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(last.unwrap_or_else(timed_out));
                }
                let body = with_read_timeout(&body, left.min(share));
                match self.call(cluster, address, &body, left.min(share)).await {
                    Ok(answer) => {
                        self.health.answered(address);
                        self.notice(routing, &answer);
                        match refusal(&answer.body) {
                            Some(error) if error.is_retryable() => {
                                if error.kind() == ErrorKind::ShuttingDown {
                                    self.health.failed(address);
                                }
                                last = Some(error.clone());
                            }
                            Some(error) => return Err(error.clone()),
                            None => return Ok(answer.body),
                        }
                    }
                    Err(error) => {
                        self.health.failed(address);
                        last = Some(explain(&error, address));
                    }
                }
            }
            self.pause(end).await;
        }
    }

    /// Tries a write at one node after the other until one takes it; never again after it may have been written.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller per kind of write, each with its own idea of a result"
    )]
    pub(super) async fn write<R>(
        &self,
        routing: &Arc<Routing>,
        route: Route,
        end: Instant,
        request: impl Fn(Duration) -> RequestBody,
        judge: impl Fn(AnswerBody) -> R,
        refused: impl Fn(&R) -> Option<&Error>,
        failed: impl Fn(Failed) -> R,
    ) -> R {
        let cluster = routing.info.layout.as_ref().map(|layout| layout.cluster());
        let mut last = None;
        loop {
            if route.is_empty() {
                return failed(Failed::NothingWritten(no_node()));
            }
            for address in &route {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return failed(Failed::NothingWritten(last.unwrap_or_else(timed_out)));
                }
                match self.call(cluster, address, &request(left), left).await {
                    Ok(answer) => {
                        self.health.answered(address);
                        self.notice(routing, &answer);
                        let result = judge(answer.body);
                        match refused(&result) {
                            Some(error) if error.is_retryable() => {
                                if error.kind() == ErrorKind::ShuttingDown {
                                    self.health.failed(address);
                                }
                                last = Some(error.clone());
                            }
                            _ => return result,
                        }
                    }
                    Err(error @ CallError::NotSent(..)) => {
                        self.health.failed(address);
                        last = Some(explain(&error, address));
                    }
                    Err(error @ CallError::NoAnswer(..)) => {
                        self.health.failed(address);
                        return failed(Failed::Unknown(explain(&error, address)));
                    }
                }
            }
            self.pause(end).await;
        }
    }

    pub(super) async fn pause(&self, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        tokio::time::sleep(PAUSE.min(left)).await;
    }

    /// Learns a new layout from the node that just said it has one; and which cluster is there now, if it is another than it was. What was
    /// asked of the old one fails: nothing is written to another cluster unawares.
    fn notice(&self, routing: &Arc<Routing>, answer: &Answer) {
        let refused = match &answer.body {
            AnswerBody::Put(PutResult::NotApplied(error)) => Some(error),
            body => refusal(body),
        };
        if answer.header.layout > routing.version()
            || refused.is_some_and(|error| error.kind() == ErrorKind::WrongCluster)
        {
            self.routing.store(None);
        }
    }
}

/// A write that no node answered.
pub(super) enum Failed {
    NothingWritten(Error),
    Unknown(Error),
}

impl Failed {
    pub(super) fn into_result(self) -> PutResult {
        match self {
            Failed::NothingWritten(error) => PutResult::NotApplied(error),
            Failed::Unknown(error) => PutResult::Indeterminate(error),
        }
    }
}

pub(super) fn with_timeout(put: &Put, left: Duration) -> RequestBody {
    let mut put = put.clone();
    put.options.timeout_ms = Some(millis(left));
    RequestBody::Put(put)
}

fn with_read_timeout(body: &RequestBody, left: Duration) -> RequestBody {
    let mut body = body.clone();
    match &mut body {
        RequestBody::Get(get) => get.options.timeout_ms = Some(millis(left)),
        RequestBody::GetMany(get) => get.options.timeout_ms = Some(millis(left)),
        RequestBody::Scan(scan) => scan.timeout_ms = Some(millis(left)),
        _ => {}
    }
    body
}

/// A node gives up a little before its client does, so that the client hears why.
pub(super) fn millis(left: Duration) -> u32 {
    (left.as_millis() as u64 * 9 / 10).clamp(1, u64::from(u32::MAX)) as u32
}

fn refusal(body: &AnswerBody) -> Option<&Error> {
    match body {
        AnswerBody::Refused(error) | AnswerBody::Get(Err(error)) | AnswerBody::Scan(Err(error)) => {
            Some(error)
        }
        _ => None,
    }
}

fn explain(error: &CallError, address: &str) -> Error {
    Error::new(error.kind(), format!("node at {address}: {error}"))
}

fn timed_out() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the operation's time was up before any node could be asked")
}

pub(super) fn no_node() -> Error {
    Error::new(ErrorKind::Unavailable, "no node of the cluster is known")
}

pub(super) fn unexpected() -> Error {
    Error::new(ErrorKind::InvalidFrame, "the node answered something else: does it run another release?")
}
