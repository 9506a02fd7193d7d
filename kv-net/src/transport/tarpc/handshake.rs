//! The first message each way on a new connection: who is there, and whether both want to talk.
//!
//! A message is the magic bytes, the format of the handshake itself, a length (2 bytes, little-endian) and postcard. A later
//! release may append fields: what follows the fields that are known is ignored.

use std::io;

use kv_core::error::ErrorKind;
use kv_core::ids::{ClusterId, Incarnation, NodeId};
use kv_core::transport::Sender;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::transport::identity::{Identity, RemoteIdentity, clusters_agree};

/// The first bytes of every connection.
pub const MAGIC: [u8; 4] = *b"KVNT";
/// Oldest version of the messages after the handshake that this release speaks.
pub const VERSION_MIN: u16 = 1;
/// Newest version of the messages after the handshake that this release speaks.
pub const VERSION_MAX: u16 = 1;

const FORMAT: u8 = 1;
const MESSAGE_BYTES_MAX: usize = 1_024;
/// So that a reason fits whatever its characters.
const REASON_CHARS_MAX: usize = 240;

/// What the side that dialled says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest version of the protocol that it speaks.
    pub version_min: u16,
    /// Newest version of the protocol that it speaks.
    pub version_max: u16,
    /// Its cluster; 0 if it has none yet.
    pub cluster: u128,
    /// Its node id; 0 for a client.
    pub node: u64,
    /// Its incarnation; 0 for a client.
    pub incarnation: u64,
    /// The node that it wants to reach; 0 if any will do.
    pub expects: u64,
}

/// What the side that accepted says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Requests may follow.
    Welcome {
        /// The version of the protocol to speak.
        version: u16,
        /// Its cluster; 0 if it has none yet.
        cluster: u128,
        /// Its node id.
        node: u64,
        /// Its incarnation.
        incarnation: u64,
    },
    /// The connection will be closed.
    Refusal {
        /// The number of an [`ErrorKind`].
        kind: u16,
        /// Why, and what to do, for people.
        reason: String,
    },
}

/// Why a handshake came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) kind: ErrorKind,
    pub(super) reason: String,
}

impl Refused {
    fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Refused { kind, reason: reason.into() }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::new(ErrorKind::ConnectionFailed, format!("handshake: {error}"))
    }
}

/// Says hello on a connection that this side dialled and hears who is there.
pub(super) async fn greet<T: AsyncRead + AsyncWrite + Unpin>(
    io: &mut T,
    identity: &Identity,
    expects: Option<NodeId>,
) -> Result<RemoteIdentity, Refused> {
    let hello = Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: identity.cluster().map_or(0, |cluster| cluster.0),
        node: node_number(identity.role()),
        incarnation: identity.incarnation().0,
        expects: expects.map_or(0, |node| node.0),
    };
    io.write_all(&encode_message(&hello)?).await?;
    match read_message::<Reply, T>(io).await? {
        Reply::Refusal { kind, reason } => {
            let kind = ErrorKind::from_number(kind).unwrap_or(ErrorKind::ConnectionFailed);
            Err(Refused::new(kind, format!("the other side refused: {reason}")))
        }
        Reply::Welcome { version, cluster, node, incarnation } => {
            let remote = remote_identity(cluster, node, incarnation);
            // The other side has judged by the same rules; a node is not to depend on the manners of another.
            if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
                return Err(incompatible(version, version));
            }
            if !clusters_agree(identity.cluster(), remote.cluster) {
                return Err(wrong_cluster(identity.cluster(), remote.cluster));
            }
            match expects {
                Some(expected) if remote.node() != Some(expected) => Err(wrong_node(expected, node)),
                _ => Ok(remote),
            }
        }
    }
}

/// Hears the hello on a connection that this side accepted and answers it.
pub(super) async fn receive<T: AsyncRead + AsyncWrite + Unpin>(
    io: &mut T,
    identity: &Identity,
) -> Result<RemoteIdentity, Refused> {
    let hello = read_message::<Hello, T>(io).await?;
    let verdict = judge(&hello, identity);
    let reply = match &verdict {
        Ok(version) => Reply::Welcome {
            version: *version,
            cluster: identity.cluster().map_or(0, |cluster| cluster.0),
            node: node_number(identity.role()),
            incarnation: identity.incarnation().0,
        },
        Err(refused) => Reply::Refusal {
            kind: refused.kind.into(),
            reason: refused.reason.chars().take(REASON_CHARS_MAX).collect(),
        },
    };
    io.write_all(&encode_message(&reply)?).await?;
    verdict.map(|_| remote_identity(hello.cluster, hello.node, hello.incarnation))
}

/// Whether the sender of `hello` is welcome, and the version to speak with it.
pub(super) fn judge(hello: &Hello, identity: &Identity) -> Result<u16, Refused> {
    if hello.version_max < VERSION_MIN || hello.version_min > VERSION_MAX {
        return Err(incompatible(hello.version_min, hello.version_max));
    }
    let here = node_number(identity.role());
    if hello.node != 0 && hello.node == here {
        return Err(Refused::new(
            ErrorKind::DuplicateNode,
            format!("both sides are node {here}: give each node its own id, or correct the address"),
        ));
    }
    let cluster = (hello.cluster != 0).then_some(ClusterId(hello.cluster));
    if !clusters_agree(cluster, identity.cluster()) {
        return Err(wrong_cluster(cluster, identity.cluster()));
    }
    if hello.expects != 0 && hello.expects != here {
        return Err(wrong_node(NodeId(hello.expects), here));
    }
    Ok(hello.version_max.min(VERSION_MAX))
}

fn incompatible(min: u16, max: u16) -> Refused {
    Refused::new(
        ErrorKind::IncompatibleFormat,
        format!("protocol versions {min} to {max} meet {VERSION_MIN} to {VERSION_MAX}: upgrade the older"),
    )
}

fn wrong_cluster(one: Option<ClusterId>, other: Option<ClusterId>) -> Refused {
    let name = |cluster: Option<ClusterId>| cluster.map_or_else(|| "none".into(), |id| id.to_string());
    Refused::new(
        ErrorKind::WrongCluster,
        format!("cluster {} meets cluster {}: correct the address", name(one), name(other)),
    )
}

fn wrong_node(expected: NodeId, here: u64) -> Refused {
    Refused::new(
        ErrorKind::WrongIdentity,
        format!("node {expected} was expected, node {here} is here: correct the address of {expected}"),
    )
}

fn node_number(role: Sender) -> u64 {
    match role {
        Sender::Peer(node) => node.0,
        Sender::Client => 0,
    }
}

fn remote_identity(cluster: u128, node: u64, incarnation: u64) -> RemoteIdentity {
    RemoteIdentity {
        role: if node == 0 { Sender::Client } else { Sender::Peer(NodeId(node)) },
        cluster: (cluster != 0).then_some(ClusterId(cluster)),
        incarnation: Incarnation(incarnation),
    }
}

/// The bytes of one message of the handshake.
///
/// # Errors
///
/// None for a message whose texts are as short as they have to be.
pub fn encode_message<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u16::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(7 + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

async fn read_message<M: DeserializeOwned, T: AsyncRead + Unpin>(io: &mut T) -> Result<M, Refused> {
    let mut magic = [0; 4];
    io.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(Refused::new(ErrorKind::InvalidFrame, "the other side does not speak this protocol"));
    }
    let format = io.read_u8().await?;
    if format != FORMAT {
        return Err(incompatible(format.into(), format.into()));
    }
    let length = usize::from(io.read_u16_le().await?);
    if length > MESSAGE_BYTES_MAX {
        return Err(Refused::new(ErrorKind::InvalidFrame, "the other side's handshake is too long"));
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    postcard::take_from_bytes(&body)
        .map(|(message, _)| message)
        .map_err(|_| Refused::new(ErrorKind::InvalidFrame, "the other side's handshake cannot be decoded"))
}

#[cfg(test)]
mod tests;
