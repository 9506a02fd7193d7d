//! A network of the machine's own: each node in a namespace, all on one bridge, and rules that cut, lose and delay.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::nemesis::commands::{attempt, printed, run};
use crate::nemesis::leftovers::name_of;

/// The networks among which one is chosen: those that are set apart for measurements (RFC 2544).
const FIRST: [u8; 2] = [198, 18];
/// The host number of the bridge, where the clients are.
const BRIDGE: usize = 254;

/// What happens to packets on their way to nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Nothing comes from the one node to the other.
    Cut {
        /// Who is not heard.
        from: usize,
        /// Who does not hear.
        to: usize,
    },
    /// That many of a hundred packets that come to the node are lost, whoever sent them.
    Loss {
        /// Who does not get them.
        to: usize,
        /// How many.
        percent: u32,
    },
}

/// The network of one run; it is gone when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    subnet: u8,
    nodes: usize,
    rules: BTreeMap<u64, Vec<Rule>>,
}

impl Network {
    /// Makes a network for that many nodes.
    ///
    /// # Errors
    ///
    /// What the machine forbids or lacks.
    pub async fn make(nodes: usize) -> anyhow::Result<Self> {
        let name = name_of(std::process::id());
        let network = Network { subnet: free_subnet()?, name, nodes, rules: BTreeMap::new() };
        network
            .build()
            .await
            .context("network namespaces cannot be made (this needs root and CAP_NET_ADMIN)")?;
        for node in 0..nodes {
            let rules = network.rules_of(node);
            network.load(node, &rules).await.context("the packet filter of this kernel cannot be used")?;
        }
        Ok(network)
    }

    async fn build(&self) -> anyhow::Result<()> {
        let bridge = &self.name;
        run("ip", &["link", "add", bridge, "type", "bridge"], "").await?;
        run("ip", &["address", "add", &format!("{}/24", self.host(BRIDGE)), "dev", bridge], "").await?;
        run("ip", &["link", "set", bridge, "up"], "").await?;
        for node in 0..self.nodes {
            let outer = self.outer(node);
            run("ip", &["netns", "add", &outer], "").await?;
            let veth = ["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &outer];
            run("ip", &veth, "").await?;
            run("ip", &["link", "set", &outer, "master", bridge, "up"], "").await?;
            let address = format!("{}/24", self.address(node));
            run("ip", &["-n", &outer, "address", "add", &address, "dev", "eth0"], "").await?;
            for device in ["lo", "eth0"] {
                run("ip", &["-n", &outer, "link", "set", device, "up"], "").await?;
            }
        }
        Ok(())
    }

    /// The address of a node.
    pub fn address(&self, node: usize) -> String {
        self.host(node + 1)
    }

    /// The file of the namespace of a node.
    pub fn namespace(&self, node: usize) -> PathBuf {
        PathBuf::from("/run/netns").join(self.outer(node))
    }

    /// Adds rules, under a number by which they are taken away again.
    ///
    /// # Errors
    ///
    /// If the machine refuses them.
    pub async fn add(&mut self, number: u64, rules: Vec<Rule>) -> anyhow::Result<()> {
        self.rules.insert(number, rules);
        self.load_all().await
    }

    /// Takes the rules of that number away.
    ///
    /// # Errors
    ///
    /// If the machine refuses.
    pub async fn remove(&mut self, number: u64) -> anyhow::Result<()> {
        self.rules.remove(&number);
        self.load_all().await
    }

    /// Pulls the cable of a node, or puts it back.
    ///
    /// # Errors
    ///
    /// If the machine refuses.
    pub async fn plug(&self, node: usize, is_in: bool) -> anyhow::Result<()> {
        let state = if is_in { "up" } else { "down" };
        run("ip", &["link", "set", &self.outer(node), state], "").await.map(drop)
    }

    /// Delays what comes to a node and what it sends. Without the kernel's netem both go through a pipe so narrow that they queue. Says which.
    ///
    /// # Errors
    ///
    /// If the machine has neither.
    pub async fn delay(&self, node: usize, milliseconds: u32) -> anyhow::Result<&'static str> {
        let delay = format!("{milliseconds}ms");
        let jitter = format!("{}ms", milliseconds / 2);
        let netem = ["root", "netem", "delay", &delay, &jitter];
        // What fills a packet of 1500 bytes in so long.
        let rate = format!("{}kbit", (12_000 / milliseconds.max(1)).max(64));
        let pipe = ["root", "tbf", "rate", &rate, "burst", "4kb", "latency", "400ms"];
        if self.shape(node, &netem).await.is_ok() {
            return Ok("netem");
        }
        self.shape(node, &pipe).await.context("this kernel has neither netem nor tbf")?;
        Ok("tbf")
    }

    async fn shape(&self, node: usize, discipline: &[&str]) -> anyhow::Result<()> {
        let outer = self.outer(node);
        let outwards = [&["-n", &outer, "qdisc", "replace", "dev", "eth0"][..], discipline].concat();
        run("tc", &outwards, "").await?;
        run("tc", &[&["qdisc", "replace", "dev", &outer][..], discipline].concat(), "").await.map(drop)
    }

    /// Ends the delay.
    pub fn hurry(&self, node: usize) {
        let outer = self.outer(node);
        attempt("tc", &["-n", &outer, "qdisc", "delete", "dev", "eth0", "root"]);
        attempt("tc", &["qdisc", "delete", "dev", &outer, "root"]);
    }

    async fn load_all(&self) -> anyhow::Result<()> {
        for node in 0..self.nodes {
            self.load(node, &self.rules_of(node)).await?;
        }
        Ok(())
    }

    async fn load(&self, node: usize, rules: &str) -> anyhow::Result<()> {
        run("ip", &["netns", "exec", &self.outer(node), "nft", "--file", "-"], rules).await.map(drop)
    }

    /// The rules of a node, which replace those that it had at once.
    fn rules_of(&self, node: usize) -> String {
        let mut text =
            "table ip nemesis {}\nflush table ip nemesis\ntable ip nemesis {\nchain input {\n".to_string();
        text += "type filter hook input priority 0; policy accept;\niif lo accept\n";
        for rule in self.rules.values().flatten() {
            let _ = match rule {
                Rule::Cut { from, to } if *to == node => {
                    writeln!(text, "ip saddr {} drop", self.address(*from))
                }
                Rule::Loss { to, percent } if *to == node => {
                    writeln!(text, "numgen random mod 100 < {percent} drop")
                }
                _ => Ok(()),
            };
        }
        text + "}\n}\n"
    }

    fn outer(&self, node: usize) -> String {
        format!("{}-{}", self.name, node + 1)
    }

    fn host(&self, number: usize) -> String {
        format!("{}.{}.{}.{number}", FIRST[0], FIRST[1], self.subnet)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            // The other end of the cable goes with it.
            attempt("ip", &["netns", "delete", &self.outer(node)]);
            attempt("ip", &["link", "delete", &self.outer(node)]);
        }
        attempt("ip", &["link", "delete", &self.name]);
    }
}

/// A network that no interface of this machine is in.
fn free_subnet() -> anyhow::Result<u8> {
    let addresses = printed("ip", &["-oneline", "-4", "address", "show"]);
    let first = std::process::id() as u8;
    for offset in 0..=u8::MAX {
        let subnet = first.wrapping_add(offset);
        if !addresses.contains(&format!(" {}.{}.{subnet}.", FIRST[0], FIRST[1])) {
            return Ok(subnet);
        }
    }
    bail!("all networks of {}.{}.0.0/16 are used", FIRST[0], FIRST[1])
}
