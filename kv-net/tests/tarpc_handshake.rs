//! Who may talk to whom over TCP, and what strangers achieve.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed test")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{own_loopback, who_handler};
use kv_core::error::ErrorKind;
use kv_core::ids::{ClusterId, Incarnation, NodeId};
use kv_core::transport::{CallError, Sender, Transport};
use kv_net::transport::tarpc::parts::{Hello, MAGIC, Reply, VERSION_MAX, VERSION_MIN, encode_message};
use kv_net::transport::{AddressBook, ClientTransport, Identity, TarpcClient, TarpcOptions, TarpcTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

struct Node {
    identity: Arc<Identity>,
    addresses: Arc<AddressBook>,
    transport: TarpcTransport,
}

impl Node {
    async fn start(id: u64, cluster: Option<u128>) -> Node {
        Self::with(id, cluster, TarpcOptions::default()).await
    }

    async fn with(id: u64, cluster: Option<u128>, options: TarpcOptions) -> Node {
        let identity = Arc::new(Identity::node(NodeId(id), cluster.map(ClusterId)));
        let addresses = Arc::new(AddressBook::new());
        let listen = own_loopback();
        let transport = TarpcTransport::bind(&listen, identity.clone(), addresses.clone(), options).unwrap();
        transport.start(who_handler()).await.unwrap();
        Node { identity, addresses, transport }
    }

    fn address(&self) -> String {
        self.transport.local_address().to_string()
    }

    async fn call(&self, to: u64, at: &Node) -> Result<Bytes, CallError> {
        self.addresses.set(NodeId(to), at.address());
        self.transport.call(NodeId(to), Bytes::new(), AMPLE).await
    }
}

fn not_sent(result: Result<Bytes, CallError>) -> (ErrorKind, String) {
    match result {
        Err(CallError::NotSent(kind, message)) => (kind, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_and_told_what_to_do() {
    let (one, two) = (Node::start(1, Some(5)).await, Node::start(2, Some(6)).await);
    let (kind, message) = not_sent(one.call(2, &two).await);
    assert_eq!(kind, ErrorKind::WrongCluster);
    assert!(message.contains("correct the address") && message.contains(&two.address()), "{message}");
}

#[tokio::test]
async fn a_node_with_the_receivers_id_is_refused() {
    let (one, twin) = (Node::start(1, Some(5)).await, Node::start(1, Some(5)).await);
    let (kind, message) = not_sent(one.call(2, &twin).await);
    assert_eq!(kind, ErrorKind::DuplicateNode, "{message}");
}

#[tokio::test]
async fn another_node_at_a_peers_address_gets_nothing() {
    let (one, three) = (Node::start(1, Some(5)).await, Node::start(3, Some(5)).await);
    let (kind, message) = not_sent(one.call(2, &three).await);
    assert_eq!(kind, ErrorKind::WrongIdentity, "{message}");
}

#[tokio::test]
async fn a_node_without_a_cluster_meets_both_until_it_has_one() {
    let (new, five, six) =
        (Node::start(1, None).await, Node::start(5, Some(5)).await, Node::start(6, Some(6)).await);
    new.call(5, &five).await.unwrap();
    new.call(6, &six).await.unwrap();
    six.call(1, &new).await.unwrap();
    new.identity.set_cluster(ClusterId(5));
    new.call(5, &five).await.unwrap();
    // Connections of before are no way round, in neither direction.
    assert_eq!(not_sent(new.call(6, &six).await).0, ErrorKind::WrongCluster);
    let until = Instant::now() + AMPLE;
    loop {
        match six.call(1, &new).await {
            Err(CallError::NotSent(ErrorKind::WrongCluster, _)) => break,
            Err(_) => assert!(Instant::now() < until, "never refused"),
            Ok(_) => panic!("a node of another cluster is answered"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_client_learns_who_is_there_and_is_known_as_a_client() {
    let node = Node::start(4, Some(5)).await;
    node.identity.set_incarnation(Incarnation(99));
    let client = TarpcClient::new(None, TarpcOptions::default());
    let remote = client.identify(&node.address(), AMPLE).await.unwrap();
    assert_eq!(remote.role, Sender::Peer(NodeId(4)));
    assert_eq!((remote.cluster, remote.incarnation), (Some(ClusterId(5)), Incarnation(99)));
    assert_eq!(client.call(&node.address(), Bytes::new(), AMPLE).await.unwrap(), "Client");
    client.shut_down(AMPLE).await;
    let (kind, _) = not_sent(client.call(&node.address(), Bytes::new(), AMPLE).await);
    assert_eq!(kind, ErrorKind::ShuttingDown);
}

#[tokio::test]
async fn a_client_of_one_cluster_refuses_nodes_of_others() {
    let node = Node::start(4, Some(5)).await;
    let client = TarpcClient::new(Some(ClusterId(6)), TarpcOptions::default());
    let (kind, _) = not_sent(client.call(&node.address(), Bytes::new(), AMPLE).await);
    assert_eq!(kind, ErrorKind::WrongCluster);
}

#[tokio::test]
async fn names_are_resolved() {
    let options = TarpcOptions::default();
    let identity = Arc::new(Identity::node(NodeId(4), None));
    let transport = TarpcTransport::bind("localhost:0", identity, Arc::default(), options.clone()).unwrap();
    transport.start(who_handler()).await.unwrap();
    let client = TarpcClient::new(None, options);
    let address = format!("localhost:{}", transport.local_address().port());
    client.call(&address, Bytes::new(), AMPLE).await.unwrap();
    let nowhere = client.call("no-such-host.invalid:1", Bytes::new(), AMPLE).await;
    assert_eq!(not_sent(nowhere).0, ErrorKind::ConnectionFailed);
}

/// What the node at `address` answers to `bytes` before it closes the connection.
async fn answer_to(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The node may close before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(AMPLE, stream.read_to_end(&mut answer)).await;
    let _ = closed.expect("the connection stays open");
    answer
}

#[tokio::test]
async fn strangers_are_hung_up_on_and_harm_nobody() {
    let node = Node::start(4, Some(5)).await;
    let too_long = [&MAGIC[..], &[1, 0xff, 0xff]].concat();
    let undecodable = [&MAGIC[..], &[1, 2, 0, 0xff, 0xff]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 4_096], &too_long, &undecodable] {
        assert_eq!(answer_to(&node.address(), bytes).await, b"", "{bytes:?}");
    }
    let client = TarpcClient::new(None, TarpcOptions::default());
    client.call(&node.address(), Bytes::new(), AMPLE).await.unwrap();
}

#[tokio::test]
async fn an_unknown_version_is_answered_with_a_refusal() {
    let node = Node::start(4, Some(5)).await;
    let future = VERSION_MAX + 1;
    let hello =
        Hello { version_min: future, version_max: future, cluster: 0, node: 0, incarnation: 0, expects: 0 };
    let answer = answer_to(&node.address(), &encode_message(&hello).unwrap()).await;
    let Reply::Refusal { kind, reason } = postcard::from_bytes(&answer[7..]).unwrap() else {
        panic!("welcome")
    };
    assert_eq!(kind, u16::from(ErrorKind::IncompatibleFormat));
    assert!(reason.contains("upgrade"), "{reason}");
}

#[tokio::test]
async fn rubbish_after_the_handshake_ends_that_connection_only() {
    let node = Node::start(4, Some(5)).await;
    let client = TarpcClient::new(None, TarpcOptions::default());
    client.call(&node.address(), Bytes::new(), AMPLE).await.unwrap();
    let hello = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: 0,
        node: 0,
        incarnation: 0,
        expects: 0,
    };
    let mut bytes = encode_message(&hello).unwrap();
    bytes.extend_from_slice(&[0xff; 64]);
    assert!(answer_to(&node.address(), &bytes).await.starts_with(&MAGIC));
    client.call(&node.address(), Bytes::new(), AMPLE).await.unwrap();
}

#[tokio::test]
async fn half_a_handshake_is_not_waited_for() {
    let options = TarpcOptions { handshake_timeout: SHORT, connections_max: 2, ..TarpcOptions::default() };
    let node = Node::with(4, Some(5), options).await;
    // They take every place there is; when their time is up the places are free again.
    let address = node.address();
    let slow = [answer_to(&address, &MAGIC[..2]), answer_to(&address, &[])];
    futures::future::join_all(slow).await;
    let client = TarpcClient::new(None, TarpcOptions { connections_per_peer: 1, ..TarpcOptions::default() });
    let until = Instant::now() + AMPLE;
    while client.call(&node.address(), Bytes::new(), AMPLE).await.is_err() {
        assert!(Instant::now() < until, "places are not given back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_identity_of_a_node_is_needed_to_be_one() {
    for identity in [Identity::client(None), Identity::node(NodeId(0), None)] {
        let options = TarpcOptions::default();
        let error =
            TarpcTransport::bind("127.0.0.1:0", Arc::new(identity), Arc::default(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    }
}

#[tokio::test]
async fn an_address_in_use_is_refused() {
    let node = Node::start(4, None).await;
    let identity = Arc::new(Identity::node(NodeId(5), None));
    let taken = TarpcTransport::bind(&node.address(), identity, Arc::default(), TarpcOptions::default());
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::ConnectionFailed);
}
