//! A client that sends bytes as they are and understands nothing but the form of replies.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use kv_net::resp::{Protocol, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Longest that an exchange may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reply, and whether it was written as each protocol has it.
#[derive(Debug)]
pub struct Received {
    /// What came; a map of RESP2 is a list.
    pub reply: Reply,
    /// Whether these are the bytes of RESP2, and of RESP3.
    pub forms: [bool; 2],
}

impl Received {
    /// Whether it was written in that protocol.
    pub fn is(&self, protocol: Protocol) -> bool {
        self.forms[usize::from(protocol == Protocol::Resp3)]
    }
}

/// When a client says that it sends nothing more.
#[derive(Debug, Clone, Copy)]
pub enum HangsUp {
    /// As soon as everything is sent.
    AtOnce,
    /// When so many replies have come.
    After(usize),
}

/// Sends the pieces one after the other on a connection of its own, and reads until the server closes it. `turn` chooses among the machine's
/// addresses, so that a great many connections do not run out of ports.
///
/// # Errors
///
/// If what comes back is no reply, or does not come.
pub async fn exchange(
    address: SocketAddr,
    turn: u64,
    pieces: &[&[u8]],
    hangs_up: HangsUp,
) -> anyhow::Result<Vec<Received>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, (turn % 250) as u8 + 1], 0)))?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut from, mut to) = stream.split();
    let (all, has_all) = tokio::sync::oneshot::channel();
    let mut all = Some(all);
    let send = async {
        for piece in pieces {
            // The server may have closed already, because of what came before.
            if to.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if let HangsUp::After(_) = hangs_up {
            let _ = has_all.await;
        }
        let _ = to.shutdown().await;
    };
    let receive = async {
        let (mut input, mut place, mut replies) = (BytesMut::new(), 0, Vec::new());
        loop {
            if let HangsUp::After(count) = hangs_up
                && replies.len() >= count
                && let Some(all) = all.take()
            {
                let _ = all.send(());
            }
            // A connection that is reset was closed by a server that did not want the rest.
            let read = from.read_buf(&mut input).await.unwrap_or(0);
            if read == 0 {
                drop(all.take());
                ensure!(place == input.len(), "half a reply: {}", input[place..].escape_ascii());
                return Ok(replies);
            }
            while let Some((reply, end)) = decode(&input, place)? {
                replies.push(Received { forms: forms(&reply, &input[place..end]), reply });
                place = end;
            }
        }
    };
    let both = async { tokio::join!(send, receive).1 };
    tokio::time::timeout(PATIENCE, both).await.context("replies do not come, or the server does not close")?
}

fn forms(reply: &Reply, bytes: &[u8]) -> [bool; 2] {
    [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
        let mut written = BytesMut::new();
        reply.write(protocol, &mut written);
        written == bytes
    })
}

/// The reply that begins at `place`, and where it ends; none if it is not whole yet.
fn decode(input: &[u8], place: usize) -> anyhow::Result<Option<(Reply, usize)>> {
    let Some(line) = line_at(input, place) else { return Ok(None) };
    let text = || String::from_utf8_lossy(&input[line.start + 1..line.end]).into_owned();
    let number = || text().parse::<i64>().with_context(|| format!("not a number: {:?}", text()));
    let mut end = line.end + 2;
    let reply = match input[place] {
        b'+' => Reply::Simple(text().into()),
        b'-' => Reply::Error(text()),
        b':' => Reply::Integer(number()?),
        b'_' => Reply::Null,
        b'$' if number()? == -1 => Reply::Null,
        b'$' => {
            let length = usize::try_from(number()?)?;
            let Some(bytes) = input.get(end..end + length + 2) else { return Ok(None) };
            ensure!(bytes.ends_with(b"\r\n"), "a bulk string without its end");
            end += length + 2;
            Reply::Bulk(Bytes::copy_from_slice(&bytes[..length]))
        }
        kind @ (b'*' | b'%') => {
            let count = usize::try_from(number()?)? * if kind == b'%' { 2 } else { 1 };
            let mut items = Vec::new();
            for _ in 0..count {
                let Some((item, next)) = decode(input, end)? else { return Ok(None) };
                items.push(item);
                end = next;
            }
            match kind {
                b'%' => Reply::Map(pairs(items)),
                _ => Reply::Array(items),
            }
        }
        other => bail!("no reply begins with {}", other.escape_ascii()),
    };
    Ok(Some((reply, end)))
}

/// The line that begins at `place`, without its end.
fn line_at(input: &[u8], place: usize) -> Option<Range<usize>> {
    let length = input.get(place..)?.windows(2).position(|two| two == b"\r\n")?;
    Some(place..place + length)
}

/// A list of names and values as pairs.
pub fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}
