use std::path::PathBuf;
use std::time::Duration;

use kv_core::ids::NodeId;
use kv_core::layout::{Member, Partitioning};
use kv_core::limits::Limits;
use kv_core::storage::Durability;
use kv_storage::Creation;

/// Port for peers and clients of the first node of a machine; the next port is its admin port, the one before that of its front door.
const PORT_DEFAULT: u16 = 7380;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// This node; none means 1, or that it has to be said if there are members.
    pub node: Option<NodeId>,
    /// Where the node keeps what it has to know after a restart.
    pub data: PathBuf,
    /// Address for peers and clients.
    pub listen: String,
    /// Address that the other members are told, or none for the one that is listened on.
    pub advertise: Option<String>,
    /// Address of the admin interface, or none.
    pub admin: Option<String>,
    /// Address of the front door for clients of Redis, or none.
    pub resp: Option<String>,
    /// Whether addresses other than loopback may be listened on although nothing is encrypted and nobody has to prove who they are.
    pub insecure: bool,
    /// Threads that serve connections.
    pub threads: usize,
    /// Longest time in which requests under way may finish at the end.
    pub drain: Duration,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Which events are logged, in the syntax of tracing-subscriber's `EnvFilter`.
    pub log_filter: String,
    /// Share of the operations of clients that is followed across nodes, 0 to 1.
    pub trace_sample: f64,
    /// Storage engine.
    pub engine: Engine,
    /// Whether a store is made where there is none.
    pub creation: Creation,
    /// Largest size of an LMDB store.
    pub map_bytes: usize,
    /// Space of the device that stays free.
    pub reserve_bytes: u64,
    /// Whether a store that is damaged is set aside if the other members have what was in it.
    pub set_aside_damaged: bool,
    /// Whether reads of an LMDB store are expected to wait for the device.
    pub reads_may_block: bool,
    /// Replicas of each key in the first bucket table.
    pub replicas: usize,
    /// Partitions of a new cluster.
    pub partitions: u32,
    /// Durability of the first bucket table.
    pub durability: Durability,
    /// How partitions are placed on members.
    pub strategy: Strategy,
    /// The members from which `kv cluster init` makes the cluster; none means this node alone.
    pub members: Vec<Member>,
    /// The bounds.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            node: None,
            data: "kv-data".into(),
            listen: format!("127.0.0.1:{PORT_DEFAULT}"),
            advertise: None,
            admin: Some(format!("127.0.0.1:{}", PORT_DEFAULT + 1)),
            resp: Some(format!("127.0.0.1:{}", PORT_DEFAULT - 1)),
            insecure: false,
            threads: 1,
            drain: Duration::from_secs(10),
            log_format: LogFormat::Text,
            log_filter: "info,tarpc=warn".into(),
            trace_sample: 0.0,
            engine: Engine::Lmdb,
            creation: Creation::IfMissing,
            map_bytes: kv_storage::LmdbOptions::default().map_bytes,
            reserve_bytes: kv_storage::LmdbOptions::default().reserve_bytes,
            set_aside_damaged: true,
            reads_may_block: false,
            replicas: 3,
            partitions: Partitioning::COUNT_DEFAULT,
            durability: Durability::Synced,
            strategy: Strategy::Balanced,
            members: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl ServerConfig {
    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.node.unwrap_or(NodeId(1))
    }
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// [`kv_storage::LmdbStorage`] in the data directory.
    Lmdb,
    /// Memory, lost with the process.
    Memory,
}

/// How partitions are placed on members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// [`kv_core::replication::BalancedPlacement`].
    Balanced,
    /// [`kv_core::replication::HashRing`].
    HashRing,
}
