//! Three etcd servers to compare with: puts, and linearizable gets, through their gRPC interface over eight connections.

use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

use crate::processes::Processes;

const CONNECTIONS: usize = 8;
const START_MAX: Duration = Duration::from_secs(20);

/// Starts three servers whose first port is `port`, with empty directories under `place`.
pub(crate) fn start(program: &Path, port: u16, place: &Path) -> anyhow::Result<Processes> {
    let peer = |id: u16| format!("http://127.0.0.1:{}", port + 3 + id);
    let cluster: Vec<String> = (0..3).map(|id| format!("n{id}={}", peer(id))).collect();
    let mut processes = Processes::default();
    for id in 0..3 {
        let mut command = Command::new(program);
        let client = format!("http://127.0.0.1:{}", port + id);
        command.args(["--name", &format!("n{id}"), "--log-level", "error"]);
        command.arg("--data-dir").arg(place.join(format!("etcd-{id}")));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer(id), "--initial-advertise-peer-urls", &peer(id)]);
        command.args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        processes.0.push(child.with_context(|| format!("cannot run {}", program.display()))?);
    }
    Ok(processes)
}

/// Connections to all three servers.
#[derive(Clone)]
pub(crate) struct Etcd(Rc<Vec<SendRequest<Bytes>>>);

impl Etcd {
    /// Connects once the servers have a leader.
    pub(crate) async fn connect(port: u16) -> anyhow::Result<Etcd> {
        let end = Instant::now() + START_MAX;
        loop {
            let connected = Etcd::try_connect(port).await;
            match connected {
                Ok(etcd) if etcd.put(b"warm", b"up").await => return Ok(etcd),
                _ => ensure!(Instant::now() < end, "etcd did not start"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_connect(port: u16) -> anyhow::Result<Etcd> {
        let mut connections = Vec::new();
        for index in 0..CONNECTIONS as u16 {
            let stream = TcpStream::connect(("127.0.0.1", port + index % 3)).await?;
            stream.set_nodelay(true)?;
            let (requests, connection) = h2::client::handshake(stream).await?;
            tokio::spawn(connection);
            connections.push(requests);
        }
        Ok(Etcd(Rc::new(connections)))
    }

    pub(crate) async fn put(&self, key: &[u8], value: &[u8]) -> bool {
        self.call("Put", key, Some(value)).await.is_ok()
    }

    /// A linearizable get, which is the default of etcd.
    pub(crate) async fn get(&self, key: &[u8]) -> bool {
        self.call("Range", key, None).await.is_ok()
    }

    async fn call(&self, verb: &str, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        let connection = self.0[usize::from(key[key.len() - 1]) % CONNECTIONS].clone();
        let request = Request::post(format!("http://127.0.0.1/etcdserverpb.KV/{verb}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (answer, mut body) = connection.ready().await?.send_request(request, false)?;
        body.send_data(message(key, value), true)?;
        let mut answer = answer.await?.into_body();
        while let Some(data) = answer.data().await {
            let length = data?.len();
            answer.flow_control().release_capacity(length)?;
        }
        let trailers = answer.trailers().await?.context("no trailers")?;
        ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "refused: {trailers:?}");
        Ok(())
    }
}

/// A message of gRPC: not compressed, its length, and the fields 1 (key) and 2 (value) of a PutRequest or RangeRequest.
fn message(key: &[u8], value: Option<&[u8]>) -> Bytes {
    let mut fields = BytesMut::with_capacity(160);
    for (tag, field) in [(0x0a, Some(key)), (0x12, value)] {
        if let Some(field) = field {
            assert!(field.len() < 128, "the length is one byte");
            fields.put_u8(tag);
            fields.put_u8(field.len() as u8);
            fields.put_slice(field);
        }
    }
    let mut message = BytesMut::with_capacity(fields.len() + 5);
    message.put_u8(0);
    message.put_u32(fields.len() as u32);
    message.put_slice(&fields);
    message.freeze()
}
