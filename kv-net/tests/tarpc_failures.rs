//! Peers that hang, vanish or are overwhelmed, over TCP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed test")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use common::{own_loopback, who_handler};
use kv_core::error::ErrorKind;
use kv_core::ids::NodeId;
use kv_core::transport::{CallError, FrameHandler, Sender, Transport};
use kv_net::Client;
use kv_net::transport::{AddressBook, ClientTransport, Identity, TarpcClient, TarpcOptions, TarpcTransport};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);

fn bind(id: u64, listen: &str, options: TarpcOptions) -> (TarpcTransport, Arc<AddressBook>) {
    let addresses = Arc::new(AddressBook::new());
    let identity = Arc::new(Identity::node(NodeId(id), None));
    (TarpcTransport::bind(listen, identity, addresses.clone(), options).unwrap(), addresses)
}

fn quick() -> TarpcOptions {
    TarpcOptions { backoff_min: Duration::from_millis(5), backoff_max: SHORT, ..TarpcOptions::default() }
}

/// Answers once it gets a permit.
#[derive(Debug)]
struct Gated(Semaphore);

#[async_trait]
impl FrameHandler for Gated {
    async fn handle(&self, _sender: Sender, frame: Bytes) -> Bytes {
        let _permit = self.0.acquire().await;
        frame
    }
}

#[derive(Debug)]
struct Panics;

#[async_trait]
impl FrameHandler for Panics {
    async fn handle(&self, _sender: Sender, frame: Bytes) -> Bytes {
        if !frame.is_empty() {
            tokio::task::yield_now().await;
        }
        panic!("deliberately")
    }
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_costs_no_more_than_the_deadline() {
    let silent = TcpListener::bind(own_loopback()).await.unwrap();
    let (transport, addresses) = bind(1, "127.0.0.1:0", quick());
    addresses.set(NodeId(2), silent.local_addr().unwrap().to_string());
    let begun = Instant::now();
    let error = transport.call(NodeId(2), Bytes::new(), SHORT).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(ErrorKind::DeadlineExceeded, _)), "{error}");
    assert!(begun.elapsed() < SHORT + Duration::from_secs(1));
}

#[tokio::test]
async fn while_a_peer_is_away_calls_fail_at_once() {
    let (transport, addresses) = bind(
        1,
        "127.0.0.1:0",
        TarpcOptions { backoff_min: AMPLE, backoff_max: AMPLE, ..TarpcOptions::default() },
    );
    // Bound and not listening: nobody can take the port, and connecting to it is refused.
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.bind(own_loopback().parse().unwrap()).unwrap();
    let address = reserved.local_addr().unwrap();
    addresses.set(NodeId(2), address.to_string());
    for _ in 0..100 {
        let error = transport.call(NodeId(2), Bytes::new(), AMPLE).await.unwrap_err();
        assert!(matches!(error, CallError::NotSent(ErrorKind::ConnectionFailed, _)), "{error}");
    }
    // A new address is tried without waiting for the end of the pause.
    let (peer, _) = bind(2, &own_loopback(), quick());
    peer.start(who_handler()).await.unwrap();
    addresses.set(NodeId(2), peer.local_address().to_string());
    transport.call(NodeId(2), Bytes::new(), AMPLE).await.unwrap();
}

#[tokio::test]
async fn a_client_names_an_address_at_which_nobody_is_once() {
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.bind(own_loopback().parse().unwrap()).unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    let client = Client::builder().seed(&address).build().unwrap();
    let error = client.status(&address).await.unwrap_err().to_string();
    assert_eq!(error.matches(&address).count(), 1, "{error}");
}

#[tokio::test]
async fn a_peer_that_shows_itself_is_called_again_at_once() {
    let pause = TarpcOptions { backoff_min: AMPLE, backoff_max: AMPLE, ..TarpcOptions::default() };
    let (one, one_knows) = bind(1, &own_loopback(), pause.clone());
    one.start(who_handler()).await.unwrap();
    let (two, two_knows) = bind(2, &own_loopback(), pause.clone());
    let address = two.local_address().to_string();
    two.shut_down(Duration::ZERO).await;
    one_knows.set(NodeId(2), address.clone());
    assert_eq!(
        one.call(NodeId(2), Bytes::new(), AMPLE).await.unwrap_err().kind(),
        ErrorKind::ConnectionFailed
    );

    let (two, two_knows) = {
        drop((two, two_knows));
        bind(2, &address, pause)
    };
    two.start(who_handler()).await.unwrap();
    two_knows.set(NodeId(1), one.local_address().to_string());
    two.call(NodeId(1), Bytes::new(), AMPLE).await.unwrap();
    one.call(NodeId(2), Bytes::new(), AMPLE).await.unwrap();
}

#[tokio::test]
async fn more_requests_than_the_bound_are_refused_on_either_side() {
    let handler = Arc::new(Gated(Semaphore::new(0)));
    let (server, _) = bind(2, &own_loopback(), TarpcOptions { requests_in_flight_max: 8, ..quick() });
    server.start(handler.clone()).await.unwrap();
    let address = server.local_address().to_string();
    // The first client keeps a smaller bound of its own; the second would send more than the server takes.
    for (bound, refused) in [(5, 5), (100, 2)] {
        let options = TarpcOptions { requests_in_flight_max: bound, connections_per_peer: 1, ..quick() };
        let client = TarpcClient::new(None, options);
        client.identify(&address, AMPLE).await.unwrap();
        let calls = (0..10).map(|_| client.call(&address, Bytes::new(), AMPLE));
        let opening = async {
            // Refusals come while the gate is closed.
            tokio::time::sleep(SHORT).await;
            handler.0.add_permits(1);
        };
        let (results, ()) = tokio::join!(futures::future::join_all(calls), opening);
        let overloaded = |result: &&Result<Bytes, CallError>| {
            matches!(result, Err(CallError::NotSent(ErrorKind::Overloaded, _)))
        };
        assert_eq!(results.iter().filter(overloaded).count(), refused, "{results:?}");
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10 - refused, "{results:?}");
        handler.0.forget_permits(1);
    }
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_own_call_only() {
    let (server, _) = bind(2, &own_loopback(), quick());
    server.start(Arc::new(Panics)).await.unwrap();
    let address = server.local_address().to_string();
    let client = TarpcClient::new(None, quick());
    for frame in ["", "after a wait", ""] {
        let error = client.call(&address, frame.into(), AMPLE).await.unwrap_err();
        assert!(matches!(error, CallError::NoAnswer(ErrorKind::Internal, _)), "{error}");
    }
}

#[test]
fn connections_of_a_runtime_that_has_gone_are_replaced() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serving = runtime();
    let (server, _) = bind(2, &own_loopback(), quick());
    let address = server.local_address().to_string();
    serving.block_on(server.start(who_handler())).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || serving.block_on(async { drop(stopped.await) }));
    let client = TarpcClient::new(None, quick());
    for _ in 0..3 {
        let short_lived = runtime();
        for _ in 0..4 {
            short_lived.block_on(client.call(&address, Bytes::new(), AMPLE)).unwrap();
        }
    }
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn connections_are_spread_over_the_runtimes() {
    /// Answers with the thread that it runs on.
    #[derive(Debug)]
    struct Where;

    #[async_trait]
    impl FrameHandler for Where {
        async fn handle(&self, _sender: Sender, _frame: Bytes) -> Bytes {
            format!("{:?}", std::thread::current().id()).into()
        }
    }

    let mut runtimes = Vec::new();
    let mut stops = Vec::new();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtimes.push(runtime.handle().clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        stops.push((stop, std::thread::spawn(move || runtime.block_on(async { drop(stopped.await) }))));
    }
    let main = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    main.block_on(async {
        let (server, _) = bind(2, &own_loopback(), TarpcOptions { runtimes, ..quick() });
        server.start(Arc::new(Where)).await.unwrap();
        let address = server.local_address().to_string();
        let client = TarpcClient::new(None, TarpcOptions { connections_per_peer: 4, ..quick() });
        let mut threads = std::collections::HashSet::new();
        let until = Instant::now() + AMPLE;
        while threads.len() < 2 {
            threads.insert(client.call(&address, Bytes::new(), AMPLE).await.unwrap());
            assert!(Instant::now() < until, "all connections are in one runtime");
        }
        assert!(!threads.contains(format!("{:?}", std::thread::current().id()).as_bytes()));
        server.shut_down(AMPLE).await;
    });
    for (stop, thread) in stops {
        drop(stop);
        thread.join().unwrap();
    }
}
