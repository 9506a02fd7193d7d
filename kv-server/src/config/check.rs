//! What has to be true of the values together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use kv_core::layout::{Member, Partitioning};
use kv_core::limits::REPLICAS_MAX;
use tracing_subscriber::EnvFilter;

use super::settings::MEMBERS;
use super::{Engine, Loaded, Problems, ServerConfig};

const THREADS_MAX: usize = 256;
const DRAIN_MAX: Duration = Duration::from_secs(3_600);

pub(super) fn check(loaded: &Loaded, problems: &mut Problems) {
    let config = &loaded.config;
    // A default can only be wrong because of another value, so the message alone has to do.
    let mut bad = |key: &str, message: String| {
        problems.add(loaded.place(key).unwrap_or_default(), format!("{key}: {message}"));
    };
    addresses(config, &mut bad);
    if config.threads == 0 || config.threads > THREADS_MAX {
        bad("threads", format!("must be 1 to {THREADS_MAX}, not {}", config.threads));
    }
    if config.drain > DRAIN_MAX {
        bad("drain", "must be at most 1h".into());
    }
    if let Err(error) = EnvFilter::try_new(&config.log_filter) {
        bad("log.filter", format!("'{}' is not a filter: {error}", config.log_filter));
    }
    if config.replicas == 0 || config.replicas > REPLICAS_MAX {
        bad("cluster.replicas", format!("must be 1 to {REPLICAS_MAX}, not {}", config.replicas));
    } else if let Err(error) = config.limits.check(config.replicas) {
        let name = error.message().split(' ').next().unwrap_or_default();
        bad(&format!("limits.{name}"), error.message().to_string());
    }
    if let Err(error) = Partitioning::new(config.partitions) {
        bad("cluster.partitions", error.message().to_string());
    }
    if config.map_bytes < 1 << 20 {
        bad("storage.map_bytes", "must be at least 1MiB".into());
    }
    let wanted = config.limits.free_bytes_min.saturating_mul(2);
    if config.map_bytes >= 1 << 20 && config.engine == Engine::Lmdb && wanted >= config.map_bytes as u64 {
        let map_bytes = config.map_bytes;
        bad(
            "limits.free_bytes_min",
            format!(
                "twice as much ({wanted}) must be less than storage.map_bytes ({map_bytes}), or the node never takes writes"
            ),
        );
    }
    members(config, &mut bad);
}

fn addresses(config: &ServerConfig, bad: &mut impl FnMut(&str, String)) {
    let addresses = [
        ("listen", Some(config.listen.as_str())),
        ("admin", config.admin.as_deref()),
        ("resp", config.resp.as_deref()),
    ];
    for (key, address) in addresses {
        let Some(address) = address.filter(|address| !config.insecure && !is_loopback(address)) else {
            continue;
        };
        bad(
            key,
            format!(
                "{address} is not loopback, and there are no credentials yet: everybody who reaches it could read and write \
                 everything. Listen on 127.0.0.1, or say --insecure if the network is yours alone"
            ),
        );
    }
    let mut taken: Vec<&str> = Vec::new();
    for (key, address) in addresses {
        let Some(address) = address.filter(|address| !address.ends_with(":0")) else { continue };
        if taken.contains(&address) {
            let for_peers = if address == config.listen { " for peers and clients" } else { "" };
            bad(key, format!("{address} is the address{for_peers} already: choose another port"));
        }
        taken.push(address);
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
}

fn members(config: &ServerConfig, bad: &mut impl FnMut(&str, String)) {
    let members = &config.members;
    if members.is_empty() {
        return;
    }
    let ids: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
    let ids = ids.join(", ");
    match config.node {
        None => bad("node", format!("is not set: say which of the members {ids} this node is")),
        Some(node) if !members.iter().any(|member| member.id == node) => {
            bad("node", format!("{node} is none of the members, which are {ids}"));
        }
        Some(_) => {}
    }
    let mut by_id: HashMap<_, &Member> = HashMap::new();
    let mut by_address: HashMap<_, &Member> = HashMap::new();
    for member in members {
        if let Some(other) = by_id.insert(member.id, member) {
            let (id, one, two) = (member.id, &other.address, &member.address);
            bad(MEMBERS, format!("{one} and {two} both have id {id}: each node needs an id of its own"));
        }
        if let Some(other) = by_address.insert(&member.address, member)
            && other.id != member.id
        {
            bad(MEMBERS, format!("{} and {} both have the address {}", other.id, member.id, member.address));
        }
        if member.address.ends_with(":0") {
            bad(MEMBERS, format!("{}={} has port 0: others could not find it", member.id, member.address));
        }
    }
}
