//! Random streams for the front door for clients of Redis: for its reader, and some of them for whole connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{bail, ensure};
use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use kv_net::resp::{Reply, RequestReader};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::held::most_held;
use crate::resp::client::{HangsUp, exchange};
use crate::resp::parsed::Parsed;
use crate::resp::pipeline::pieces;
use crate::resp::served::Served;
use crate::resp::stream::{LIMITS, Stream};

/// How much is done.
#[derive(Debug, Clone, clap::Args)]
pub struct RespFuzz {
    /// Streams that are thrown at the reader.
    #[arg(long, default_value_t = 1_000_000)]
    pub executions: u64,
    /// One of so many is sent over a connection too.
    #[arg(long, default_value_t = 10)]
    pub connect_each: u64,
    /// The seed; it and the number of a stream find it again.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The number of the first stream.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
}

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// Most pieces that are sent one after the other over a connection, each a packet.
const PIECES_MAX: usize = 30;

/// Streams after which the nodes are made anew, and their memory is given back.
const LIFE: u64 = 1_000_000;

/// Panics of this process, those in tasks too.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that came out of the reader.
    pub requests: u64,
    /// Streams that ended in an error.
    pub errors: u64,
    /// Replies over connections.
    pub replies: u64,
    /// Bytes that the reader held at most, beyond four times those that it was given.
    pub held_beyond: usize,
}

/// Runs it and prints what was seen.
///
/// # Errors
///
/// At the first stream that is not read as it should be, with what finds it again.
pub async fn run(options: &RespFuzz) -> anyhow::Result<Seen> {
    ensure!(most_held(|| drop(vec![0_u8; 5_000])).1 >= 5_000, "this program does not count what it holds");
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    let begun = Instant::now();
    let mut seen = Seen::default();
    let mut served = Served::start(1, Some(LIMITS)).await?;
    let mut batch = Vec::new();
    for done in 0..options.executions {
        let number = options.first + done;
        let (stream, cuts) = made(options.seed, number);
        let read = catch_unwind(AssertUnwindSafe(|| read(&stream, &cuts, &mut seen)));
        let parsed = match read {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(error)) => bail!("{error:#}; {}", described(options.seed, number, &stream)),
            Err(_) => bail!("a panic; {}", described(options.seed, number, &stream)),
        };
        if done % options.connect_each == 0 {
            batch.push((number, stream, cuts, parsed));
        }
        if batch.len() == CONNECTIONS || done + 1 == options.executions {
            let connections = batch.iter().map(async |(number, stream, cuts, parsed)| {
                let replies = connect(&served, *number, stream, cuts, parsed).await;
                replies.map_err(|error| error.context(described(options.seed, *number, stream)))
            });
            seen.replies += try_join_all(connections).await?.into_iter().sum::<u64>();
            if PANICS.load(Ordering::SeqCst) > 0 {
                bail!(
                    "a panic in one of these: {:?}",
                    batch.iter().map(|(number, ..)| number).collect::<Vec<_>>()
                );
            }
            batch.clear();
        }
        if (done + 1) % LIFE == 0 && done + 1 < options.executions {
            let seconds = begun.elapsed().as_secs_f64();
            println!("{} streams, {:.0} a second: {seen:?}", done + 1, (done + 1) as f64 / seconds);
            std::mem::replace(&mut served, Served::start(1, Some(LIMITS)).await?).stop().await;
        }
    }
    served.stop().await;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} streams in {seconds:.0} s, {:.0} a second, all read as they should be: {seen:?}",
        options.executions,
        options.executions as f64 / seconds.max(1e-9)
    );
    Ok(seen)
}

/// The stream of that number, and where it is cut.
fn made(seed: u64, number: u64) -> (Stream, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let stream = Stream::random(&mut random);
    let longest = [1, 3, 40, 700][random.random_range(0..4_usize)];
    let cuts = (0..random.random_range(0..600)).map(|_| random.random_range(1..=longest)).collect();
    (stream, cuts)
}

fn described(seed: u64, number: u64, stream: &Stream) -> String {
    format!("found again with --seed {seed} --first {number} --executions 1: {}", stream.bytes.escape_ascii())
}

/// Reads a stream whole and in pieces, and compares both with what it means.
fn read(stream: &Stream, cuts: &[usize], seen: &mut Seen) -> anyhow::Result<Parsed> {
    let expected = Parsed::of(&stream.bytes, &LIMITS);
    if let Some(meant) = &stream.meant {
        ensure!(meant.requests == expected.requests, "not what was meant: {expected:?}");
        ensure!(meant.error == expected.error.as_deref(), "not the error that was meant: {expected:?}");
    }
    let whole = in_pieces(&[&stream.bytes[..]]);
    ensure!(whole == expected, "read whole it is {whole:?}, and should be {expected:?}");
    let pieces = pieces(&stream.bytes, cuts);
    let cut = in_pieces(&pieces);
    ensure!(cut == expected, "read in pieces it is {cut:?}, and should be {expected:?}");

    // Requests are dropped as they come, so what is held is the input that is not read yet, and what the reader itself needs.
    let ((), held) = most_held(|| {
        let (mut reader, mut buffer) = (RequestReader::new(LIMITS), BytesMut::new());
        for piece in &pieces {
            buffer.extend_from_slice(piece);
            while let Ok(Some(_)) = reader.next(&mut buffer) {}
        }
    });
    let beyond = held.saturating_sub(4 * stream.bytes.len());
    seen.held_beyond = seen.held_beyond.max(beyond);
    ensure!(beyond <= 200 * LIMITS.words_max, "reading {} bytes takes {held}", stream.bytes.len());
    seen.requests += expected.requests.len() as u64;
    seen.errors += u64::from(expected.error.is_some());
    Ok(expected)
}

fn in_pieces(pieces: &[&[u8]]) -> Parsed {
    let (mut reader, mut buffer) = (RequestReader::new(LIMITS), BytesMut::new());
    let mut parsed = Parsed::default();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(request)) => {
                    parsed.requests.push((0..request.len()).map(|place| request.bytes(place)).collect());
                }
                Err(error) => {
                    parsed.error = Some(error.0);
                    return parsed;
                }
            }
        }
    }
    parsed
}

/// Sends a stream over a connection: each request is answered once, and then the connection is closed with the error if there is one.
async fn connect(
    served: &Served,
    number: u64,
    stream: &Stream,
    cuts: &[usize],
    parsed: &Parsed,
) -> anyhow::Result<u64> {
    let quits = |words: &Vec<Bytes>| words[0].eq_ignore_ascii_case(b"QUIT");
    let (count, error) = match parsed.requests.iter().position(quits) {
        Some(place) => (place + 1, None),
        None => (parsed.requests.len(), parsed.error.as_ref()),
    };
    let cuts = &cuts[..cuts.len().min(PIECES_MAX)];
    let replies = exchange(served.address(0), number, &pieces(&stream.bytes, cuts), HangsUp::AtOnce).await?;
    if let Some(error) = error {
        let last = replies.last().map(|last| &last.reply);
        let told = Reply::Error(format!("ERR Protocol error: {error}"));
        ensure!(last == Some(&told), "the last reply is {last:?}, and should be {told:?}");
    }
    let expected = count + usize::from(error.is_some());
    ensure!(replies.len() == expected, "{} replies instead of {expected}: {replies:?}", replies.len());
    ensure!(replies.iter().all(|reply| reply.forms != [false; 2]), "of neither protocol: {replies:?}");
    Ok(expected as u64)
}
