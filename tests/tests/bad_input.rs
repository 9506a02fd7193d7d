//! What can be wrong from outside gets a clear error that says what to do; nothing is lost, nobody else is disturbed, nothing panics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use kv_core::bucket::Quorum;
use kv_core::command::{Get, Put, PutResult, Replace};
use kv_core::error::{Error, ErrorKind};
use kv_core::key::Key;
use kv_core::transport::CallError;
use kv_core::wire::{AnswerBody, Join, RequestBody};
use kv_net::Client;
use kv_net::transport::{ClientTransport, TarpcClient, TarpcOptions};
use kv_tests::cluster::{Cluster, Direct};
use kv_tests::ports;
use kv_tests::process::{Server, Surroundings, tail, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// However slow the machine is; the building of `kv-server` is part of it.
const AMPLE: Duration = Duration::from_secs(1_200);

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

/// A node by itself with a value that must stay.
struct Kept {
    cluster: Cluster,
    client: Client,
}

impl Kept {
    async fn start() -> Kept {
        Kept::start_with(&[]).await
    }

    async fn start_with(more: &[&str]) -> Kept {
        let cluster = Cluster::start(1, more).await.unwrap();
        let client = cluster.client(PATIENCE).unwrap();
        client.put(Put::new("default", key("kept"), "value")).await.into_result().unwrap();
        Kept { cluster, client }
    }

    /// The node is alive, serves, has what was put, and never panicked.
    async fn is_well(&self) {
        let got = self.client.get(Get::new("default", key("kept"))).await.unwrap();
        assert_eq!(got.values.len(), 1);
        assert_eq!(got.values[0].value, "value");
        self.client.put(Put::new("default", key("another"), "value")).await.into_result().unwrap();
        self.cluster.check_logs().unwrap();
    }

    /// Starts the node again, which has to fail, and returns what it says.
    async fn fails(&mut self) -> String {
        let (code, said) = self.cluster.fails(0).await.unwrap();
        assert_eq!(code, Some(1), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    async fn start_again(&mut self) {
        self.cluster.spawn(0).unwrap();
        self.cluster.ready(0).await.unwrap();
    }
}

/// Starts a node that has to end by itself, and returns its exit code and what it says.
async fn ends(arguments: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut all = vec!["--admin", "127.0.0.1:0", "--resp", "off"];
    if !arguments.contains(&"--listen") {
        all.extend(["--listen", "127.0.0.1:0"]);
    }
    all.extend(arguments);
    let code = Server::start(&Surroundings::default(), all, &log).unwrap().ended().await.unwrap().code();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    (code, said)
}

#[tokio::test]
async fn a_port_in_use_is_named_and_the_node_starts_once_it_is_free() {
    within(AMPLE, async {
        let mut node = Kept::start().await;
        node.cluster.terminate(0).await.unwrap();
        let taken = TcpListener::bind(node.cluster.address(0)).unwrap();
        let said = node.fails().await;
        assert!(said.contains(&format!("cannot listen on {}", node.cluster.address(0))), "{said}");
        assert!(said.contains("choose another port with --listen"), "{said}");
        drop(taken);
        node.start_again().await;
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    within(AMPLE, async {
        // Not even root makes files there.
        let (code, said) = ends(&["--data", "/proc/kv-data"]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("cannot make the data directory /proc/kv-data"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_is_not_mounted_is_asked_for() {
    within(AMPLE, async {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("volume/data");
        let (code, said) = ends(&["--data", &data.display().to_string()]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("Is the volume mounted?"), "{said}");
        assert!(!parent.path().join("volume").exists(), "nothing is made where a volume belongs");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_key_of_the_configuration_is_named_with_its_line_and_what_was_meant() {
    within(AMPLE, async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kv.toml");
        std::fs::write(&file, "drain = \"1s\"\nlisen = \"127.0.0.1:0\"\n").unwrap();
        let data = directory.path().join("data").display().to_string();
        let (code, said) = ends(&["--config", &file.display().to_string(), "--data", &data]).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("kv.toml:2: unknown key 'lisen': did you mean 'listen'?"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_second_node_with_the_same_id_does_not_start_and_the_first_goes_on() {
    within(AMPLE, async {
        let node = Kept::start().await;
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data").display().to_string();
        let member = format!("1={}", node.cluster.address(0));
        let (code, said) = ends(&["--node", "1", "--data", &data, "--member", &member]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node 1 runs already") && said.contains("--node"), "{said}");
        // The same data cannot be opened twice either.
        let data = node.cluster.data(0).display().to_string();
        let (code, said) = ends(&["--node", "1", "--data", &data]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is open already"), "{said}");
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn data_of_a_newer_release_is_left_as_it_is() {
    within(AMPLE, async {
        let mut node = Kept::start().await;
        node.cluster.terminate(0).await.unwrap();
        let format = node.cluster.data(0).join("store/FORMAT");
        let ours = std::fs::read_to_string(&format).unwrap();
        std::fs::write(&format, "kv-storage lmdb 99\n").unwrap();
        let said = node.fails().await;
        assert!(said.contains("has format 99") && said.contains("use the release that wrote it"), "{said}");
        std::fs::write(&format, ours).unwrap();
        node.start_again().await;
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_of_another_cluster_is_refused() {
    within(AMPLE, async {
        let (one, other) = (Kept::start().await, Kept::start().await);
        let cluster = one.cluster.status(0).await.unwrap().cluster.unwrap();
        let transport = TarpcClient::new(Some(cluster), TarpcOptions::default());
        let called = transport.call(other.cluster.address(0), Bytes::new(), PATIENCE).await;
        let Err(CallError::NotSent(ErrorKind::WrongCluster, message)) = called else { panic!("{called:?}") };
        assert!(message.contains(&cluster.to_string()), "{message}");
        // A frame that names the wrong cluster is refused although the connection does not.
        let get = RequestBody::Get(Get::new("default", key("kept")));
        let error = refused(other.cluster.direct(0).ask_as(cluster, get).await.unwrap());
        assert_eq!(error.kind(), ErrorKind::WrongCluster);
        assert!(error.message().contains("check the address"), "{error}");
        one.is_well().await;
        other.is_well().await;
    })
    .await;
}

fn refused(body: AnswerBody) -> Error {
    match body {
        AnswerBody::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_may_not_ask_what_is_for_peers() {
    within(AMPLE, async {
        let node = Kept::start().await;
        let status = node.cluster.status(0).await.unwrap();
        let cluster = status.cluster.unwrap();
        let AnswerBody::Cluster(info) = node.cluster.direct(0).ask(RequestBody::Cluster).await.unwrap()
        else {
            panic!("no cluster")
        };
        let verbs = [
            RequestBody::Read(Vec::new()),
            RequestBody::Write(Vec::new()),
            RequestBody::MergeBuckets(info.buckets.clone()),
            RequestBody::Join(Box::new(Join {
                layout: info.layout.unwrap(),
                secret: [0; 16],
                table: info.buckets,
                is_late: false,
            })),
        ];
        for verb in verbs {
            let error = refused(node.cluster.direct(0).ask_as(cluster, verb.clone()).await.unwrap());
            assert_eq!(error.kind(), ErrorKind::NotPermitted, "{verb:?}: {error}");
        }
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn strangers_are_hung_up_on() {
    within(AMPLE, async {
        let node = Kept::start().await;
        let mut random = vec![0; 100_000];
        rand::fill(&mut random[..]);
        let long = [b"KVNT\x01\xff\xff", &[0x41; 70_000][..]].concat();
        for bytes in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"*1\r\n$4\r\nPING\r\n", &[0; 64], &random, &long]
        {
            let mut stream = TcpStream::connect(node.cluster.address(0)).await.unwrap();
            // It may hang up before all is written.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let ended = within(PATIENCE, stream.read_to_end(&mut answer)).await;
            assert!(answer.is_empty(), "{ended:?}: {answer:?}");
        }
        // A frame that is none, from a client that said who it is.
        let transport = TarpcClient::new(None, TarpcOptions::default());
        let answer = transport.call(node.cluster.address(0), Bytes::from_static(&[0xff; 40]), PATIENCE).await;
        let error = refused(kv_core::wire::decode_answer(&answer.unwrap()).unwrap().body);
        assert!(matches!(error.kind(), ErrorKind::InvalidFrame | ErrorKind::IncompatibleFormat), "{error}");
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_and_the_old_one_stays() {
    within(AMPLE, async {
        let node = Kept::start().await;
        let put = Put::new("default", key("kept"), vec![7; (1 << 20) + 1]);
        let PutResult::NotApplied(error) = node.client.put(put).await else { panic!("not refused") };
        assert_eq!(error.kind(), ErrorKind::ValueTooLarge);
        assert!(error.message().contains("1048576"), "the limit is named: {error}");
        // Larger than any frame may be.
        let put = Put::new("default", key("kept"), vec![7; 64 << 20]);
        let PutResult::NotApplied(error) = node.client.put(put).await else { panic!("not refused") };
        assert!(matches!(error.kind(), ErrorKind::FrameTooLarge | ErrorKind::ValueTooLarge), "{error}");
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_full_store_refuses_puts_says_what_to_do_and_keeps_what_it_has() {
    within(AMPLE, async {
        let mut node =
            Kept::start_with(&["--set", "storage.map_bytes=8MiB", "--set", "limits.free_bytes_min=1MiB"])
                .await;
        let name = |number: usize| key(&format!("large {number}"));
        let mut applied = 0;
        let error = loop {
            let put = Put::new("default", name(applied), vec![applied as u8; 100_000]).with_w(Quorum::One);
            match node.client.put(put).await.into_result() {
                Ok(_) => applied += 1,
                Err(error) => break error,
            }
            assert!(applied < 1_000, "there is no limit");
        };
        assert!(
            matches!(error.kind(), ErrorKind::NotWritten | ErrorKind::ReadOnly | ErrorKind::Unavailable),
            "{error}"
        );
        assert!(error.to_string().contains("free space"), "{error}");
        assert!(applied > 10, "{applied}");
        for _ in 0..2 {
            for number in 0..applied {
                let got = node.client.get(Get::new("default", name(number))).await.unwrap();
                assert_eq!(got.values[0].value, vec![number as u8; 100_000]);
            }
            assert_eq!(node.client.get(Get::new("default", key("kept"))).await.unwrap().values.len(), 1);
            node.cluster.check_logs().unwrap();
            node.cluster.terminate(0).await.unwrap();
            // It is not ready, since it takes no writes.
            node.cluster.spawn(0).unwrap();
            while node.client.get(Get::new("default", key("kept"))).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_sibling_too_many_is_refused_and_the_others_stay() {
    within(AMPLE, async {
        let node = Kept::start().await;
        let mut applied = 0;
        let error = loop {
            let put = Put::new("default", key("siblings"), format!("{applied}"));
            match node.client.put(Put { replace: Replace::Nothing, ..put }).await {
                PutResult::Applied(_) => applied += 1,
                PutResult::NotApplied(error) => break error,
                PutResult::Indeterminate(error) => panic!("{error}"),
            }
            assert!(applied < 10_000, "there is no limit");
        };
        assert_eq!(error.kind(), ErrorKind::TooManySiblings);
        let got = node.client.get(Get::new("default", key("siblings"))).await.unwrap();
        assert_eq!(got.values.len(), applied);
        node.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reaches_nobody_says_whom_it_asked() {
    within(AMPLE, async {
        let nobody = ports::free_address();
        let client =
            Client::builder().seed(nobody.clone()).timeout(Duration::from_millis(300)).build().unwrap();
        let error = client.get(Get::new("default", key("k"))).await.unwrap_err();
        assert!(error.to_string().contains(&nobody), "{error}");
        let asked = Direct::to(&nobody).ask(RequestBody::Status).await.unwrap_err();
        assert!(asked.to_string().contains("cannot connect"), "{asked}");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_restarted_writes_nothing_to_its_log_that_frightens() {
    within(AMPLE, async {
        let mut node = Kept::start().await;
        node.cluster.terminate(0).await.unwrap();
        node.start_again().await;
        node.is_well().await;
        let log = std::fs::read_to_string(node.cluster.log(0)).unwrap();
        assert!(!log.contains("ERROR"), "{}", tail(&node.cluster.log(0)));
    })
    .await;
}
