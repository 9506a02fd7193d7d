//! Transports that break one bullet each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::testing::transport::TransportNetwork;
use kv_core::transport::{CallError, FrameHandler, Sender, Transport};
use parking_lot::Mutex;

/// What is wrong with a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    AltersRequests,
    AltersAnswers,
    DropsEmptyFrames,
    AnswersTheWrongCall,
    SerialisesCalls,
    IgnoresTheDeadline,
    LiesAboutTheSender,
    SaysClient,
    NeverReconnects,
    SaysNoAnswerForNotSent,
    SaysNotSentOfLargeAnswers,
    CarriesFramesAboveTheBound,
    DeliversTwice,
    RepeatsLateCalls,
    RunsHandlersOneByOne,
    CallsAfterShutDown,
    HangsInShutDown,
    CutsOffAnswersInShutDown,
    CancelsHandlers,
}

/// Each fault with the bullet that it breaks.
pub const FAULTS: &[(Fault, &str)] = &[
    (Fault::AltersRequests, "T-01"),
    (Fault::AltersAnswers, "T-01"),
    (Fault::DropsEmptyFrames, "T-01"),
    (Fault::AnswersTheWrongCall, "T-02"),
    (Fault::SerialisesCalls, "T-02"),
    (Fault::IgnoresTheDeadline, "T-03"),
    (Fault::LiesAboutTheSender, "T-04"),
    (Fault::SaysClient, "T-04"),
    (Fault::NeverReconnects, "T-05"),
    (Fault::SaysNoAnswerForNotSent, "T-05"),
    (Fault::SerialisesCalls, "T-06"),
    (Fault::RunsHandlersOneByOne, "T-06"),
    (Fault::SaysNotSentOfLargeAnswers, "T-07"),
    (Fault::CarriesFramesAboveTheBound, "T-07"),
    (Fault::DeliversTwice, "T-08"),
    (Fault::RepeatsLateCalls, "T-08"),
    (Fault::CallsAfterShutDown, "T-09"),
    (Fault::HangsInShutDown, "T-09"),
    (Fault::CutsOffAnswersInShutDown, "T-09"),
    (Fault::CancelsHandlers, "T-10"),
];

/// A good network whose transports are all broken in the same way.
#[derive(Debug)]
pub struct Broken<N> {
    pub network: N,
    pub fault: Fault,
    pub failed: Arc<Mutex<Vec<NodeId>>>,
}

#[async_trait]
impl<N: TransportNetwork> TransportNetwork for Broken<N> {
    async fn join(&self, node: NodeId) -> Arc<dyn Transport> {
        Arc::new(BrokenTransport {
            inner: self.network.join(node).await,
            fault: self.fault,
            failed: self.failed.clone(),
            one_at_a_time: tokio::sync::Mutex::default(),
            last_answer: Mutex::default(),
            frame_bytes_max: self.network.frame_bytes_max(),
        })
    }

    fn frame_bytes_max(&self) -> usize {
        match self.fault {
            // The good transport below refuses less than the mutant promises to.
            Fault::CarriesFramesAboveTheBound => self.network.frame_bytes_max() - 1,
            _ => self.network.frame_bytes_max(),
        }
    }

    async fn sleep(&self, time: Duration) {
        self.network.sleep(time).await;
    }
}

#[derive(Debug)]
struct BrokenTransport {
    inner: Arc<dyn Transport>,
    fault: Fault,
    failed: Arc<Mutex<Vec<NodeId>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    last_answer: Mutex<Bytes>,
    frame_bytes_max: usize,
}

#[async_trait]
impl Transport for BrokenTransport {
    async fn start(&self, handler: Arc<dyn FrameHandler>) -> Result<(), Error> {
        let one_at_a_time = tokio::sync::Mutex::default();
        self.inner.start(Arc::new(BrokenHandler { inner: handler, fault: self.fault, one_at_a_time })).await
    }

    async fn call(&self, peer: NodeId, frame: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        match self.fault {
            Fault::AltersRequests if frame.len() > 65_536 => {
                let mut altered = frame.to_vec();
                altered[65_536] ^= 1;
                self.inner.call(peer, altered.into(), deadline).await
            }
            Fault::AltersAnswers => {
                let mut answer = self.inner.call(peer, frame, deadline).await?.to_vec();
                if let Some(last) = answer.last_mut() {
                    *last ^= 128;
                }
                Ok(answer.into())
            }
            Fault::DropsEmptyFrames if frame.is_empty() => Ok(frame),
            Fault::AnswersTheWrongCall => {
                let answer = self.inner.call(peer, frame, deadline).await?;
                Ok(std::mem::replace(&mut *self.last_answer.lock(), answer))
            }
            Fault::SerialisesCalls => {
                let _turn = self.one_at_a_time.lock().await;
                self.inner.call(peer, frame, deadline).await
            }
            Fault::IgnoresTheDeadline => {
                self.inner.call(peer, frame, deadline + Duration::from_secs(20)).await
            }
            Fault::NeverReconnects => {
                if self.failed.lock().contains(&peer) {
                    return Err(CallError::NotSent(ErrorKind::ConnectionFailed, "it failed once".into()));
                }
                let result = self.inner.call(peer, frame, deadline).await;
                if matches!(result, Err(CallError::NotSent(ErrorKind::ConnectionFailed, _))) {
                    self.failed.lock().push(peer);
                }
                result
            }
            Fault::SaysNoAnswerForNotSent => {
                self.inner.call(peer, frame, deadline).await.map_err(|error| match error {
                    CallError::NotSent(kind, what) | CallError::NoAnswer(kind, what) => {
                        CallError::NoAnswer(kind, what)
                    }
                })
            }
            Fault::SaysNotSentOfLargeAnswers => {
                self.inner.call(peer, frame, deadline).await.map_err(|error| match error {
                    CallError::NoAnswer(ErrorKind::FrameTooLarge, what) => {
                        CallError::NotSent(ErrorKind::FrameTooLarge, what)
                    }
                    error => error,
                })
            }
            Fault::RepeatsLateCalls => {
                let first = self.inner.call(peer, frame.clone(), deadline / 2).await;
                match first {
                    Err(CallError::NoAnswer(..)) => self.inner.call(peer, frame, deadline / 2).await,
                    first => first,
                }
            }
            Fault::CallsAfterShutDown => match self.inner.call(peer, frame, deadline).await {
                Err(CallError::NotSent(ErrorKind::ShuttingDown, _)) => Ok(Bytes::new()),
                result => result,
            },
            _ => {
                assert!(frame.len() <= self.frame_bytes_max + 1);
                self.inner.call(peer, frame, deadline).await
            }
        }
    }

    async fn shut_down(&self, grace: Duration) {
        match self.fault {
            // The suite ends each case with a grace of zero, which has to end.
            Fault::HangsInShutDown if !grace.is_zero() => std::future::pending().await,
            Fault::CutsOffAnswersInShutDown => self.inner.shut_down(Duration::ZERO).await,
            _ => self.inner.shut_down(grace).await,
        }
    }
}

#[derive(Debug)]
struct BrokenHandler {
    inner: Arc<dyn FrameHandler>,
    fault: Fault,
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[async_trait]
impl FrameHandler for BrokenHandler {
    async fn handle(&self, sender: Sender, frame: Bytes) -> Bytes {
        match self.fault {
            Fault::LiesAboutTheSender => self.inner.handle(Sender::Peer(NodeId(1)), frame).await,
            Fault::SaysClient => self.inner.handle(Sender::Client, frame).await,
            Fault::DeliversTwice => {
                let _ = self.inner.handle(sender, frame.clone()).await;
                self.inner.handle(sender, frame).await
            }
            Fault::RunsHandlersOneByOne => {
                let _turn = self.one_at_a_time.lock().await;
                self.inner.handle(sender, frame).await
            }
            Fault::CancelsHandlers => {
                let handling = self.inner.handle(sender, frame);
                tokio::time::timeout(Duration::from_millis(250), handling).await.unwrap_or_default()
            }
            _ => self.inner.handle(sender, frame).await,
        }
    }
}
