//! A node of the cluster as a process: store, transport, node, admin interface, and an orderly end.

use std::error::Error as _;
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::NodeId;
use kv_core::layout::Member;
use kv_core::replica::StoreIdentity;
use kv_core::storage::Storage;
use kv_net::resp::{RespListener, RespOptions, RespServer};
use kv_net::transport::{AddressBook, Identity, TarpcOptions, TarpcTransport};

use crate::admin::{AdminListener, AdminState};
use crate::config::ServerConfig;
use crate::data_directory::{Addresses, DataDirectory};
use crate::plugins;
use crate::runtime::{self, Workers};
use crate::set_aside;
use crate::signals::{StopReason, StopRequests};
use kv_net::{Client, Node, NodeConfig};

/// How long the node may take over its end beyond the time that requests under way get.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// Within this time of the first a further signal is the same request.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// A process that ends without a word within this time of its start may have been ended by what is in its store.
const START_TAKES: Duration = Duration::from_secs(60);

/// How long another node may take to say that it is there.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs a node until it is asked to stop.
pub(crate) fn run(config: &ServerConfig, stop_at_end_of_input: bool) -> Result<()> {
    let runtime = runtime::current_thread().context("cannot start a runtime")?;
    let workers = Workers::start(config.threads - 1).context("cannot start worker threads")?;
    let ended = runtime.block_on(serve(config, &workers, stop_at_end_of_input));
    // Whatever still runs is of no use to anybody.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn serve(config: &ServerConfig, workers: &Workers, stop_at_end_of_input: bool) -> Result<()> {
    let mut stop = StopRequests::listen(stop_at_end_of_input).context("cannot listen for signals")?;
    let node_id = config.node_id();
    let data = DataDirectory::prepare(&config.data, config.creation)?;
    let admin = config.admin.as_deref().map(bind_admin).transpose()?;
    let resp = config.resp.as_deref().map(bind_resp).transpose()?;
    let (store, mark) = tokio::select! {
        opened = set_aside::open_store(config, &data) => opened?,
        reason = stop.next() => {
            tracing::info!(?reason, "stopped before the store was open");
            return Ok(());
        }
    };
    let identity = Arc::new(identity(config, &*store)?);
    let addresses = Arc::new(AddressBook::new());
    let options = transport_options(config, workers);
    let transport =
        TarpcTransport::bind(&config.listen, Arc::clone(&identity), Arc::clone(&addresses), options)
            .map_err(|error| explain_listen(&config.listen, error))?;
    let listen = transport.local_address().to_string();
    let admin_address = admin.as_ref().map(AdminListener::local_address).transpose()?;
    let resp_address = resp.as_ref().map(RespListener::local_address).transpose()?;
    let members = match config.members.as_slice() {
        [] => vec![Member::new(node_id, listen.clone())],
        members => members.to_vec(),
    };
    refuse_second_life(node_id, &members, &listen).await?;

    data.write_addresses(&Addresses {
        node: node_id,
        pid: process::id(),
        listen: listen.clone(),
        admin: admin_address.map(|address| address.to_string()),
        resp: resp_address.map(|address| address.to_string()),
    })?;
    let node_config = NodeConfig {
        node: node_id,
        address: advertised(config, &listen),
        store,
        plugins: plugins::plugins(),
        strategy: plugins::strategy(config.strategy),
        limits: config.limits.clone(),
        members,
        replicas: u8::try_from(config.replicas).unwrap_or(u8::MAX),
        partitions: config.partitions,
        durability: config.durability,
        trace_sample: config.trace_sample,
    };
    let node = match Node::start(node_config, Arc::new(transport), identity, addresses).await {
        Ok(node) => Arc::new(node),
        Err(error) => {
            if let Some(mark) = mark.filter(|_| error.kind() == ErrorKind::StorageFailed) {
                mark.leave();
            }
            return Err(error.into());
        }
    };
    let up_for_long = tokio::spawn(async move {
        tokio::time::sleep(START_TAKES).await;
        drop(mark);
    });
    let kept = tokio::spawn(keep_membership(Arc::clone(&node), data));
    let resp = resp.map(|resp| resp.serve(Arc::clone(&node), resp_options(config, workers))).transpose()?;
    let state = AdminState::new(Arc::clone(&node), resp.as_ref().map(RespServer::meter));
    let admin = admin.map(|admin| admin.serve(Arc::clone(&state))).transpose()?;
    tracing::info!(
        node = %node_id,
        %listen,
        resp = resp_address.map(tracing::field::display),
        admin = admin_address.map(tracing::field::display),
        data = %config.data.display(),
        release = env!("CARGO_PKG_VERSION"),
        "the node is up"
    );
    if let Err(reason) = node.is_ready() {
        tracing::info!(%reason, "not ready");
    }
    let ended = tokio::select! {
        reason = stop.next() => Ok(reason),
        error = node.stopped() => Err(error),
    };
    state.stop_being_ready();
    match &ended {
        Ok(reason) => tracing::info!(?reason, drain = ?config.drain, "shutting down"),
        Err(error) => tracing::error!(%error, "the node had to stop"),
    }
    kept.abort();
    up_for_long.abort();
    let finish = async {
        if let Some(resp) = resp {
            resp.shut_down(config.drain).await;
        }
        node.shut_down(config.drain).await;
        if let Some(admin) = admin {
            admin.shut_down().await;
        }
    };
    tokio::select! {
        () = finish => tracing::info!("the node is down"),
        () = tokio::time::sleep(config.drain + STOP_MARGIN) => tracing::warn!("requests under way were cut off"),
        _ = second(&mut stop) => bail!("stopped at once at the second request, requests under way were cut off"),
    }
    ended.map(|_| ()).context("the node had to stop; start it again to find out what its store holds")
}

/// Keeps a copy of what the node knows of its cluster beside the store.
async fn keep_membership(node: Arc<Node>, data: DataDirectory) {
    let mut kept = data.read_membership().ok().flatten();
    loop {
        if let Some(membership) = node.membership().filter(|membership| Some(membership) != kept.as_ref()) {
            match data.write_membership(&membership) {
                Ok(()) => kept = Some(membership),
                Err(error) => tracing::warn!(%error, "no copy of the membership can be kept"),
            }
        }
        node.membership_changed().await;
    }
}

fn port(address: &str) -> Option<&str> {
    Some(address.rsplit_once(':')?.1)
}

/// Where the other members are told to reach this node; empty to leave it at what the layout says.
fn advertised(config: &ServerConfig, listen: &str) -> String {
    let own = config.members.iter().find(|member| Some(member.id) == config.node);
    let is_wildcard = listen.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified());
    let listened = Some(listen.to_string()).filter(|_| !is_wildcard);
    // The configuration may name this node by a host name, or be older than its move to another port.
    let fits = |address: &String| is_wildcard || port(address) == port(listen);
    let named = own.map(|member| member.address.clone()).filter(fits);
    config.advertise.clone().or(named).or(listened).unwrap_or_default()
}

/// A further request to stop by somebody who will not wait; the end of the parent is none.
async fn second(stop: &mut StopRequests) -> StopReason {
    let again = Instant::now() + SAME_REQUEST;
    loop {
        match stop.next().await {
            StopReason::ParentGone => {}
            // Who signals a process and its group at once means it once.
            _ if Instant::now() < again => {}
            reason => return reason,
        }
    }
}

fn bind_admin(address: &str) -> Result<AdminListener> {
    AdminListener::bind(address).map_err(|error| {
        anyhow!(
            "cannot listen on {address} for the admin interface: {error}. Stop what uses it, or choose another port with --admin"
        )
    })
}

fn bind_resp(address: &str) -> Result<RespListener> {
    RespListener::bind(address).map_err(|error| {
        anyhow!(
            "cannot listen on {address} for clients of Redis: {error}. Stop what uses it, or choose another port with --resp, or off"
        )
    })
}

fn explain_listen(listen: &str, error: Error) -> anyhow::Error {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    anyhow!(
        "cannot listen on {listen} for peers and clients: {cause}. Stop what uses it, or choose another port with --listen"
    )
}

/// The runtimes on which connections are served in turn; none for the present one alone.
fn runtimes(workers: &Workers) -> Vec<tokio::runtime::Handle> {
    let mut runtimes = workers.handles().to_vec();
    if !runtimes.is_empty() {
        runtimes.insert(0, tokio::runtime::Handle::current());
    }
    runtimes
}

fn resp_options(config: &ServerConfig, workers: &Workers) -> RespOptions {
    RespOptions { runtimes: runtimes(workers), ..RespOptions::of(&config.limits) }
}

fn transport_options(config: &ServerConfig, workers: &Workers) -> TarpcOptions {
    let runtimes = runtimes(workers);
    TarpcOptions {
        frame_bytes_max: config.limits.frame_bytes_max,
        requests_in_flight_max: config.limits.requests_in_flight_max,
        runtimes,
        ..TarpcOptions::default()
    }
}

/// Who this node is to others; refuses the store of another node.
fn identity(config: &ServerConfig, store: &dyn Storage) -> Result<Identity, Error> {
    let node = config.node_id();
    let stored = StoreIdentity::read(store)?.identity;
    match stored {
        Some(stored) if stored.node != node => Err(Error::new(
            ErrorKind::WrongIdentity,
            format!(
                "the data in {} belongs to node {}, and this is configured as node {node}: correct --node or --data",
                config.data.display(),
                stored.node
            ),
        )),
        stored => Ok(Identity::node(node, stored.map(|stored| stored.cluster))),
    }
}

/// Two processes with one node id would give two replicas for one: if this node's address in the list of members is answered by
/// another process, that one is the node.
async fn refuse_second_life(node: NodeId, members: &[Member], listen: &str) -> Result<(), Error> {
    let Some(own) = members.iter().find(|member| member.id == node && member.address != listen) else {
        return Ok(());
    };
    let Ok(client) = Client::builder().seed(own.address.clone()).timeout(PROBE_TIMEOUT).build() else {
        return Ok(());
    };
    let answer = client.status(&own.address).await;
    client.shut_down().await;
    match answer {
        // This process answers nobody yet, so whoever answers is another.
        Ok(status) if status.node == node => Err(Error::new(
            ErrorKind::DuplicateNode,
            format!(
                "node {node} runs already, at {}, and two processes cannot be one node: give this one another id \
                 (--node), or stop the other first",
                own.address
            ),
        )),
        Ok(status) => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            format!(
                "{} is the address of node {node} in the list of members, but node {} answers there: correct the list",
                own.address, status.node
            ),
        )),
        Err(_) => Ok(()),
    }
}
