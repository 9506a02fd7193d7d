//! Which nodes there are to be, and where.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use kv_core::ids::NodeId;

use super::DevArguments;
use super::cluster_file::{ClusterFile, Ports};

const NODES_DEFAULT: usize = 3;
pub(super) const NODES_MAX: usize = 16;
const PORT_DEFAULT: u16 = 7380;
const PORT_STEP: u16 = 10;

/// Replicas of each key, if there are as many nodes.
const REPLICAS: usize = 3;

/// A local cluster that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: Vec<NodePlan>,
    pub(super) data: PathBuf,
    pub(super) replicas: usize,
    pub(super) memory: bool,
    pub(super) restart: bool,
    pub(super) log: String,
}

/// One node of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodePlan {
    pub(super) id: NodeId,
    pub(super) data: PathBuf,
    pub(super) listen: String,
    pub(super) admin: String,
    /// For clients of Redis.
    pub(super) resp: String,
}

impl Plan {
    /// Decides on nodes and ports, makes the directory and looks whether the ports are free.
    pub(super) fn make(arguments: &DevArguments) -> Result<Self> {
        let data = &arguments.data;
        let before = if arguments.memory { None } else { ClusterFile::read(data)? };
        let ports = match before {
            Some(before) => agree(arguments, before.nodes)?,
            None => choose(arguments)?,
        };
        for node in &ports {
            ensure_free(node.listen)?;
            ensure_free(node.admin)?;
        }
        if !data.is_dir() {
            fs::create_dir(data).with_context(|| {
                format!("cannot make {}: choose another directory with --data", data.display())
            })?;
        }
        if !arguments.memory {
            ClusterFile { nodes: ports.clone() }.write(data)?;
        }
        let node = |(index, ports): (usize, &Ports)| NodePlan {
            id: NodeId(index as u64 + 1),
            data: data.join(format!("node-{}", index + 1)),
            listen: format!("127.0.0.1:{}", ports.listen),
            admin: format!("127.0.0.1:{}", ports.admin),
            resp: format!("127.0.0.1:{}", resp_port(ports.listen)),
        };
        Ok(Plan {
            nodes: ports.iter().enumerate().map(node).collect(),
            data: data.clone(),
            replicas: REPLICAS.min(ports.len()),
            memory: arguments.memory,
            restart: !arguments.no_restart,
            log: arguments.log.clone(),
        })
    }

    /// The addresses for clients.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.listen.clone()).collect()
    }
}

/// A cluster that was here before stays what it was: its layout names its nodes and their addresses.
fn agree(arguments: &DevArguments, before: Vec<Ports>) -> Result<Vec<Ports>> {
    let data = arguments.data.display();
    let count = before.len();
    if let Some(nodes) = arguments.nodes {
        ensure!(
            nodes == count,
            "the cluster in {data} has {count} nodes, and this release cannot change that: leave --nodes out, or begin a \
             new cluster with --data OTHER"
        );
    }
    if let (Some(port), Some(first)) = (arguments.port.filter(|port| *port != 0), before.first()) {
        ensure!(
            port == first.listen,
            "the cluster in {data} begins at port {}, and its nodes know each other by their ports: leave --port out, or \
             begin a new cluster with --data OTHER",
            first.listen
        );
    }
    Ok(before)
}

fn choose(arguments: &DevArguments) -> Result<Vec<Ports>> {
    let count = arguments.nodes.unwrap_or(NODES_DEFAULT);
    ensure!((1..=NODES_MAX).contains(&count), "--nodes must be 1 to {NODES_MAX}, not {count}");
    let base = arguments.port.unwrap_or(PORT_DEFAULT);
    if base == 0 {
        return free_ports(count);
    }
    (0..count)
        .map(|index| {
            let listen = u16::try_from(index).ok().and_then(|index| base.checked_add(index * PORT_STEP));
            let ports = listen.and_then(|listen| Some(Ports { listen, admin: listen.checked_add(1)? }));
            ports.with_context(|| format!("--port {base} is too high for {count} nodes"))
        })
        .collect()
}

/// The port before that for peers and clients; if somebody has it, any. No node has to know it of another.
fn resp_port(listen: u16) -> u16 {
    let before = listen.saturating_sub(1);
    if TcpListener::bind(("127.0.0.1", before)).is_ok() { before } else { 0 }
}

/// Ports that the operating system gave away and took back a moment ago.
fn free_ports(count: usize) -> Result<Vec<Ports>> {
    let listeners: Vec<TcpListener> = (0..2 * count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("no port is free")?;
    let ports: Vec<u16> =
        listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    let (pairs, _) = ports.as_chunks::<2>();
    Ok(pairs.iter().map(|[listen, admin]| Ports { listen: *listen, admin: *admin }).collect())
}

fn ensure_free(port: u16) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {port} is in use: stop what uses it (another kv-server?), or begin a cluster elsewhere with \
             --data OTHER --port {}",
            if port < 60_000 { port - port % 10 + 1_000 } else { 7_380 }
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen on port {port}: choose others with --port"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(data: PathBuf) -> DevArguments {
        DevArguments {
            nodes: None,
            data,
            port: Some(0),
            memory: false,
            no_restart: false,
            log: "info".into(),
        }
    }

    #[test]
    fn a_cluster_keeps_its_nodes_and_ports() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("kv-data");
        let first = Plan::make(&DevArguments { nodes: Some(2), ..arguments(data.clone()) }).unwrap();
        assert_eq!((first.nodes.len(), first.replicas), (2, 2));
        let again = Plan::make(&arguments(data.clone())).unwrap();
        assert_eq!(again, first);
        let more = Plan::make(&DevArguments { nodes: Some(3), ..arguments(data.clone()) }).unwrap_err();
        assert!(more.to_string().contains("has 2 nodes"), "{more}");
        let moved = Plan::make(&DevArguments { port: Some(7_380), ..arguments(data) }).unwrap_err();
        assert!(moved.to_string().contains("know each other by their ports"), "{moved}");
    }

    #[test]
    fn ports_are_ten_apart() {
        let chosen = choose(&DevArguments { port: None, ..arguments("x".into()) }).unwrap();
        let expected =
            [(7380, 7381), (7390, 7391), (7400, 7401)].map(|(listen, admin)| Ports { listen, admin });
        assert_eq!(chosen, expected);
        let high = choose(&DevArguments { port: Some(65_530), ..arguments("x".into()) }).unwrap_err();
        assert!(high.to_string().contains("too high"), "{high}");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ensure_free(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} is in use")) && error.contains("--port"), "{error}");
    }
}
