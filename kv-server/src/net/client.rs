use std::sync::Arc;
use std::time::Duration;

use kv_core::causality::Stamp;
use kv_core::command::{Get, GetAnswer, Put, PutResult};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::{ClusterId, Incarnation};
use kv_core::transport::CallError;
use kv_core::wire::{
    Answer, AnswerBody, BucketChange, ClusterInfo, Header, NodeStatus, Request, RequestBody, decode_answer,
    encode_request,
};
use kv_net::transport::{ClientTransport, TarpcClient, TarpcOptions};

#[derive(Debug, Clone)]
pub(crate) struct Client {
    transport: Arc<TarpcClient>,
    seeds: Arc<Vec<String>>,
    timeout: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct ClientBuilder {
    seeds: Vec<String>,
    timeout: Option<Duration>,
}

impl ClientBuilder {
    pub(crate) fn seed(mut self, address: impl Into<String>) -> Self {
        self.seeds.push(address.into());
        self
    }

    pub(crate) fn seeds(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.seeds.extend(addresses);
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn build(self) -> Result<Client, Error> {
        if self.seeds.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfiguration, "a client needs a seed"));
        }
        Ok(Client {
            transport: Arc::new(TarpcClient::new(None, TarpcOptions::default())),
            seeds: Arc::new(self.seeds),
            timeout: self.timeout.unwrap_or(Duration::from_secs(2)),
        })
    }
}

impl Client {
    pub(crate) fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) async fn get(&self, get: Get) -> Result<GetAnswer, Error> {
        match self.any(RequestBody::Get(get)).await.map_err(|(_, error)| error)? {
            AnswerBody::Get(result) => result,
            other => Err(unexpected(other)),
        }
    }

    pub(crate) async fn put(&self, put: Put) -> PutResult {
        match self.any(RequestBody::Put(put)).await {
            Ok(AnswerBody::Put(result)) => result,
            Ok(other) => PutResult::NotApplied(unexpected(other)),
            Err((false, error)) => PutResult::NotApplied(error),
            Err((true, error)) => PutResult::Indeterminate(error),
        }
    }

    pub(crate) async fn cluster(&self) -> Result<ClusterInfo, Error> {
        match self.any(RequestBody::Cluster).await.map_err(|(_, error)| error)? {
            AnswerBody::Cluster(info) => Ok(*info),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) async fn status(&self, address: &str) -> Result<NodeStatus, Error> {
        match self.call(address, RequestBody::Status).await.map_err(|(_, error)| error)? {
            AnswerBody::Status(status) => Ok(*status),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) async fn init(&self, address: &str) -> Result<ClusterInfo, Error> {
        match self.call(address, RequestBody::Init).await.map_err(|(_, error)| error)? {
            AnswerBody::Cluster(info) => Ok(*info),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) async fn change_bucket(&self, change: BucketChange) -> Result<(), Error> {
        match self.any(RequestBody::ChangeBucket(change)).await.map_err(|(_, error)| error)? {
            AnswerBody::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    pub(crate) async fn shut_down(&self) {
        self.transport.shut_down(Duration::from_millis(100)).await;
    }

    async fn any(&self, body: RequestBody) -> Result<AnswerBody, (bool, Error)> {
        let mut last = None;
        for seed in self.seeds.iter() {
            match self.call(seed, body.clone()).await {
                Err((false, error)) => last = Some((false, error)),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| (false, Error::new(ErrorKind::ConnectionFailed, "no seed"))))
    }

    async fn call(&self, address: &str, body: RequestBody) -> Result<AnswerBody, (bool, Error)> {
        let header = Header {
            cluster: ClusterId(0),
            layout: 0,
            incarnation: Incarnation(0),
            clock: Stamp(0),
            buckets: 0,
        };
        let frame = encode_request(&Request { header, body });
        let answer = self.transport.call(address, frame, self.timeout).await.map_err(|error| {
            let sent = matches!(error, CallError::NoAnswer(..));
            (sent, Error::new(error.kind(), format!("{address}: {error}")))
        })?;
        let Answer { body, .. } = decode_answer(&answer).map_err(|error| (true, error))?;
        match body {
            AnswerBody::Refused(error) => Err((false, error)),
            body => Ok(body),
        }
    }
}

fn unexpected(answer: AnswerBody) -> Error {
    Error::new(ErrorKind::InvalidFrame, format!("an answer of another kind: {answer:?}"))
}
