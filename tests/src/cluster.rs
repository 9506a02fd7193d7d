//! A cluster of real processes on LMDB.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kv_core::causality::Stamp;
use kv_core::command::{Get, GetAnswer};
use kv_core::ids::{ClusterId, Incarnation, TraceId};
use kv_core::wire::{AnswerBody, Header, NodeStatus, Request, RequestBody, decode_answer, encode_request};
use kv_net::Client;
use kv_net::transport::{ClientTransport, TarpcClient, TarpcOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ports;
use crate::process::{PATIENCE, Server, Surroundings, tail};

/// Where a node is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where peers and clients reach it.
    pub listen: String,
    /// Where its health is told.
    pub admin: String,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// What surrounds its process.
    pub surroundings: Surroundings,
}

/// Nodes as processes; they and their data go when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    places: Vec<Place>,
    servers: Vec<Option<Server>>,
    more: Vec<String>,
}

impl Cluster {
    /// Starts that many nodes, each with the arguments `more` besides its own, makes a cluster of them and waits until all are ready.
    ///
    /// # Errors
    ///
    /// If a node does not start.
    pub async fn start(count: usize, more: &[&str]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let place = |node: usize| Place {
            listen: ports::free_address(),
            admin: ports::free_address(),
            data: directory.path().join(format!("node-{}", node + 1)),
            surroundings: Surroundings::default(),
        };
        let places = (0..count).map(place).collect();
        Cluster::start_at(directory, places, more).await
    }

    /// Starts a node at each of those places, with their logs in `directory`; otherwise as [`Cluster::start`] does.
    ///
    /// # Errors
    ///
    /// If a node does not start.
    pub async fn start_at(directory: TempDir, places: Vec<Place>, more: &[&str]) -> anyhow::Result<Self> {
        let count = places.len();
        let mut cluster = Cluster {
            directory,
            places,
            servers: (0..count).map(|_| None).collect(),
            more: more.iter().map(ToString::to_string).collect(),
        };
        for node in 0..count {
            cluster.spawn(node)?;
        }
        for node in 0..count {
            cluster.wait_for(node, "/health").await?;
        }
        let client = cluster.client(PATIENCE)?;
        client.init(cluster.address(0)).await?;
        client.shut_down().await;
        for node in 0..count {
            cluster.ready(node).await?;
        }
        Ok(cluster)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a node is reached.
    pub fn address(&self, node: usize) -> &str {
        &self.places[node].listen
    }

    /// Where the nodes are reached.
    pub fn addresses(&self) -> Vec<String> {
        self.places.iter().map(|place| place.listen.clone()).collect()
    }

    /// The process id of a node, if it runs.
    pub fn pid(&mut self, node: usize) -> Option<u32> {
        self.running(node).map(|server| server.pid())
    }

    /// Sends a signal to a node, if it runs.
    pub fn signal(&mut self, node: usize, signal: i32) {
        if let Some(server) = self.running(node) {
            server.signal(signal);
        }
    }

    fn running(&mut self, node: usize) -> Option<&Server> {
        let server = self.servers[node].as_mut()?;
        if server.is_running() { Some(server) } else { None }
    }

    /// Where clients of Redis reach a node that runs.
    ///
    /// # Errors
    ///
    /// If it has not said where.
    pub fn resp(&self, node: usize) -> anyhow::Result<String> {
        let file = self.data(node).join("addresses.json");
        let addresses: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
        Ok(addresses["resp"].as_str().context("the node has no front door")?.to_string())
    }

    /// The process ids of the nodes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.servers.iter().flatten().map(Server::pid).collect()
    }

    /// Where a node keeps its data.
    pub fn data(&self, node: usize) -> PathBuf {
        self.places[node].data.clone()
    }

    /// Where a node writes its log.
    pub fn log(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{}.log", node + 1))
    }

    /// Starts a node that does not run. It is killed when the thread that calls this ends.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(&mut self, node: usize) -> anyhow::Result<()> {
        let mut arguments: Vec<String> = ["--node", &(node + 1).to_string(), "--listen", self.address(node)]
            .iter()
            .map(ToString::to_string)
            .collect();
        arguments.extend(["--admin".into(), self.places[node].admin.clone()]);
        arguments.extend(["--resp".into(), "127.0.0.1:0".into()]);
        arguments.extend(["--data".into(), self.data(node).display().to_string()]);
        for (id, place) in (1..).zip(&self.places) {
            arguments.extend(["--member".into(), format!("{id}={}", place.listen)]);
        }
        arguments.extend(self.more.iter().cloned());
        self.servers[node] =
            Some(Server::start(&self.places[node].surroundings, arguments, &self.log(node))?);
        Ok(())
    }

    /// Waits until a node says that it is ready.
    ///
    /// # Errors
    ///
    /// If it ends instead, or takes too long.
    pub async fn ready(&mut self, node: usize) -> anyhow::Result<()> {
        self.wait_for(node, "/ready").await
    }

    async fn wait_for(&mut self, node: usize, path: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let running = self.servers[node].as_mut().is_some_and(Server::is_running);
            if !running {
                bail!("node {} is not there; {}", node + 1, tail(&self.log(node)));
            }
            if http(&self.places[node].admin, path)
                .await
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
            {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("node {}: {path} not in time; {}", node + 1, tail(&self.log(node)));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills nodes with SIGKILL, all at once.
    pub fn kill(&mut self, nodes: &[usize]) {
        let mut servers: Vec<Server> = nodes.iter().filter_map(|node| self.servers[*node].take()).collect();
        // One that has ended by itself has no id any more that is its own.
        for server in servers.iter_mut().filter_map(|server| server.is_running().then_some(server)) {
            server.signal(libc::SIGKILL);
        }
        servers.into_iter().for_each(Server::kill);
    }

    /// Asks a node to stop and waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end in good order.
    pub async fn terminate(&mut self, node: usize) -> anyhow::Result<()> {
        let server = self.servers[node].take().context("the node does not run")?;
        server.terminate().await.with_context(|| format!("node {}", node + 1))
    }

    /// Starts a node that is expected to end by itself, and returns its exit code and what it wrote to its log meanwhile.
    ///
    /// # Errors
    ///
    /// If it goes on.
    pub async fn fails(&mut self, node: usize) -> anyhow::Result<(Option<i32>, String)> {
        let before = std::fs::read_to_string(self.log(node)).unwrap_or_default().len();
        self.spawn(node)?;
        let server = self.servers[node].take().context("the node was not started")?;
        let status = server.ended().await?;
        let log = std::fs::read_to_string(self.log(node))?;
        Ok((status.code(), log.get(before..).unwrap_or_default().to_string()))
    }

    /// A client that knows of all nodes.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn client(&self, timeout: Duration) -> anyhow::Result<Client> {
        Ok(Client::builder().seeds(self.addresses()).timeout(timeout).build()?)
    }

    /// Asks one node and no other.
    pub fn direct(&self, node: usize) -> Direct {
        Direct::to(self.address(node))
    }

    /// How a node says that it is.
    ///
    /// # Errors
    ///
    /// If it does not say.
    pub async fn status(&self, node: usize) -> anyhow::Result<NodeStatus> {
        match self.direct(node).ask(RequestBody::Status).await? {
            AnswerBody::Status(status) => Ok(*status),
            other => bail!("a status was asked for and this came: {other:?}"),
        }
    }

    /// Checks that no node ever panicked.
    ///
    /// # Errors
    ///
    /// If one did.
    pub fn check_logs(&self) -> anyhow::Result<()> {
        for node in 0..self.len() {
            let log = std::fs::read_to_string(self.log(node))?;
            if let Some(at) = log.find("panicked") {
                let from = log[..at].rfind('\n').unwrap_or(0);
                bail!(
                    "node {} panicked: {}",
                    node + 1,
                    log[from..].lines().take(5).collect::<Vec<_>>().join("\n")
                );
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in 0..self.len() {
                eprintln!("node {}: {}", node + 1, tail(&self.log(node)));
            }
        }
    }
}

/// Requests to one node, made without the client's help.
#[derive(Debug)]
pub struct Direct {
    transport: TarpcClient,
    address: String,
}

impl Direct {
    /// Requests to whatever is at an address.
    pub fn to(address: &str) -> Self {
        Direct { transport: TarpcClient::new(None, TarpcOptions::default()), address: address.into() }
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn ask(&self, body: RequestBody) -> anyhow::Result<AnswerBody> {
        self.ask_as(ClusterId(0), body).await
    }

    /// Sends one request in the name of a cluster.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn ask_as(&self, cluster: ClusterId, body: RequestBody) -> anyhow::Result<AnswerBody> {
        let header = Header {
            cluster,
            layout: 0,
            incarnation: Incarnation(0),
            clock: Stamp(0),
            buckets: 0,
            trace: TraceId::NONE,
        };
        let frame = encode_request(&Request { header, body });
        let answer = self.transport.call(&self.address, frame, Duration::from_secs(10)).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{}: {error}", self.address))?;
        Ok(decode_answer(&answer)?.body)
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// If it cannot be read there.
    pub async fn get(&self, get: Get) -> anyhow::Result<GetAnswer> {
        match self.ask(RequestBody::Get(get)).await? {
            AnswerBody::Get(Ok(answer)) => Ok(answer),
            other => bail!("a get was asked for and this came: {other:?}"),
        }
    }
}

/// Asks over HTTP and brings back the whole answer.
async fn http(address: &str, path: &str) -> anyhow::Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await?
}
