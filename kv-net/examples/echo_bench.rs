//! Requests a second over the tarpc transport and over bare tarpc with the same codec, between two processes.
//!
//! `cargo run --release -p kv-net --example echo_bench [seconds per measurement] [rounds] [frame bytes]`

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use kv_core::ids::NodeId;
use kv_core::transport::{FrameHandler, Sender, Transport};
use kv_net::transport::tarpc::parts::{Answer, CallerCodec, Frame, ResponderCodec, framed};
use kv_net::transport::{AddressBook, Identity, TarpcOptions, TarpcTransport};
use tarpc::server::{BaseChannel, Channel};
use tokio::net::{TcpListener, TcpStream};

const FRAME_BYTES_MAX: usize = 20 << 20;
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
const SERVER: NodeId = NodeId(1);
const CLIENT: NodeId = NodeId(2);

type Failure = Box<dyn std::error::Error>;

#[derive(Debug)]
struct Echo;

#[async_trait]
impl FrameHandler for Echo {
    async fn handle(&self, _sender: Sender, frame: Bytes) -> Bytes {
        frame
    }
}

/// Waits once, as a handler does that asks other nodes.
#[derive(Debug)]
struct EchoLater;

#[async_trait]
impl FrameHandler for EchoLater {
    async fn handle(&self, _sender: Sender, frame: Bytes) -> Bytes {
        tokio::task::yield_now().await;
        frame
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.first().map(String::as_str) {
        Some("serve") => runtime.block_on(serve()),
        _ => runtime.block_on(measure(&arguments)),
    }
}

async fn serve() -> Result<(), Failure> {
    let bare = TcpListener::bind("127.0.0.1:0").await?;
    let mut keep = Vec::new();
    let handlers: [Arc<dyn FrameHandler>; 2] = [Arc::new(Echo), Arc::new(EchoLater)];
    let mut addresses = vec![bare.local_addr()?.to_string()];
    for handler in handlers {
        let identity = Arc::new(Identity::node(SERVER, None));
        let transport =
            TarpcTransport::bind("127.0.0.1:0", identity, Arc::default(), TarpcOptions::default())?;
        transport.start(handler).await?;
        addresses.push(transport.local_address().to_string());
        keep.push(transport);
    }
    println!("{}", addresses.join(" "));
    loop {
        let (stream, _) = bare.accept().await?;
        stream.set_nodelay(true)?;
        let channel = BaseChannel::with_defaults(framed(stream, ResponderCodec::new(FRAME_BYTES_MAX)));
        let echo = tarpc::server::serve(|_, Frame(frame): Frame| async move { Ok(Answer::Frame(frame)) });
        tokio::spawn(channel.execute(echo).for_each(|response| async move {
            tokio::spawn(response);
        }));
    }
}

/// One way to call: its name, and a call.
type Way = (String, Box<dyn Fn(usize, Bytes) -> BoxFuture<'static, bool>>);

async fn measure(arguments: &[String]) -> Result<(), Failure> {
    let number = |at: usize, default: f64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (seconds, rounds, bytes) = (number(0, 1.0)?, number(1, 3.0)? as usize, number(2, 100.0)? as usize);
    let mut child = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let addresses: Vec<&str> = line.split_whitespace().collect();
    let [bare, ours, later] = addresses.as_slice() else { return Err("three addresses".into()) };

    let mut ways = Vec::new();
    for connections in [1, 2, 4] {
        ways.push(bare_tarpc(bare, connections).await?);
        ways.push(transport("transport", ours, connections)?);
        ways.push(transport("transport, handler waits", later, connections)?);
    }
    println!("{bytes} bytes, {seconds} s each, median of {rounds} rounds; requests a second (of bare tarpc)");
    println!("{:<40}{}", "in flight", IN_FLIGHT.map(|n| format!("{n:>18}")).join(""));
    let mut rates = vec![[(); IN_FLIGHT.len()].map(|()| Vec::new()); ways.len()];
    for _ in 0..rounds {
        for (at, in_flight) in IN_FLIGHT.into_iter().enumerate() {
            for ((_, call), rates) in ways.iter().zip(&mut rates) {
                let rate = rate(call, in_flight, bytes, Duration::from_secs_f64(seconds)).await?;
                rates.get_mut(at).ok_or("index")?.push(rate);
            }
        }
    }
    let mut base = [0.0; IN_FLIGHT.len()];
    for ((name, _), rates) in ways.iter().zip(&mut rates) {
        let medians = rates.each_mut().map(|rates| {
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied().unwrap_or(0.0)
        });
        if name.starts_with("bare") {
            base = medians;
        }
        let cells =
            medians.iter().zip(base).map(|(rate, base)| format!("{:>11.0} ({:.2})", rate, rate / base));
        println!("{name:<40}{}", cells.map(|cell| format!("{cell:>18}")).collect::<String>());
    }
    child.kill()?;
    Ok(())
}

async fn rate(
    call: &dyn Fn(usize, Bytes) -> BoxFuture<'static, bool>,
    in_flight: usize,
    bytes: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let frame = Bytes::from(vec![7; bytes]);
    for number in 0..8 {
        call(number, frame.clone()).await;
    }
    let begun = Instant::now();
    let counts = futures::future::join_all((0..in_flight).map(|worker| {
        let frame = frame.clone();
        async move {
            let mut count = 0_u64;
            while begun.elapsed() < time {
                if !call(worker, frame.clone()).await {
                    return Err("a call failed");
                }
                count += 1;
            }
            Ok(count)
        }
    }));
    let counts: Result<Vec<u64>, _> = counts.await.into_iter().collect();
    Ok(counts?.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
}

async fn bare_tarpc(address: &str, connections: usize) -> Result<Way, Failure> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let io = framed(stream, CallerCodec::new(FRAME_BYTES_MAX));
        clients.push(tarpc::client::new(tarpc::client::Config::default(), io).spawn());
    }
    let call = move |worker: usize, frame| -> BoxFuture<'static, bool> {
        let client = clients.get(worker % connections).cloned();
        Box::pin(async move {
            let Some(client) = client else { return false };
            client.call(tarpc::context::current(), Frame(frame)).await.is_ok()
        })
    };
    Ok((format!("bare tarpc, {connections} connections"), Box::new(call)))
}

fn transport(name: &str, address: &str, connections: usize) -> Result<Way, Failure> {
    let addresses = Arc::new(AddressBook::new());
    addresses.set(SERVER, address);
    let options = TarpcOptions { connections_per_peer: connections, ..TarpcOptions::default() };
    let identity = Arc::new(Identity::node(CLIENT, None));
    let transport = Arc::new(TarpcTransport::bind("127.0.0.1:0", identity, addresses, options)?);
    let call = move |_, frame| -> BoxFuture<'static, bool> {
        let transport = transport.clone();
        Box::pin(async move { transport.call(SERVER, frame, Duration::from_secs(5)).await.is_ok() })
    };
    Ok((format!("{name}, {connections} connections"), Box::new(call)))
}
