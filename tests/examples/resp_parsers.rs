//! How long a request takes to read: the front door's own reader beside the crate `redis-protocol`, on the same bytes.
//!
//! ```text
//! cargo run --release -p kv-tests --example resp_parsers
//! ```
#![allow(clippy::unwrap_used, reason = "an example that fails ends")]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kv_core::limits::Limits;
use kv_net::resp::{RequestReader, RespOptions};
use kv_tests::resp::encode;
use redis_protocol::resp2::decode::decode_bytes_mut;

/// Requests of a measurement; the best of so many is shown.
const REQUESTS: usize = 1_000_000;
const ROUNDS: usize = 7;

fn main() {
    println!("{:<6} {:>5} {:>12} {:>10} {:>16}", "", "deep", "arrives", "own, ns", "redis-protocol, ns");
    for name in ["GET", "SET"] {
        for depth in [1, 16] {
            for piece in [usize::MAX, 64] {
                let pipeline = pipeline(name, depth);
                let pieces: Vec<&[u8]> = pipeline.chunks(piece.min(pipeline.len())).collect();
                let times = REQUESTS / depth;
                let (mut own, mut other) = (f64::MAX, f64::MAX);
                for _ in 0..ROUNDS {
                    own = own.min(measured(times * depth, || read_own(&pieces, times)));
                    other = other.min(measured(times * depth, || read_other(&pieces, times)));
                }
                let arrives = if piece == usize::MAX { "whole" } else { "64 bytes" };
                println!("{name:<6} {depth:>5} {arrives:>12} {own:>10.0} {other:>16.0}");
            }
        }
    }
}

/// Requests on keys of 16 bytes with values of 100.
fn pipeline(name: &'static str, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for place in 0..depth {
        let mut words: Vec<Bytes> = vec![name.into(), format!("key:{place:012}").into()];
        if name == "SET" {
            words.push(vec![b'v'; 100].into());
        }
        encode::array(&words, &mut bytes);
    }
    bytes
}

fn measured(requests: usize, read: impl FnOnce() -> usize) -> f64 {
    let begun = Instant::now();
    assert_eq!(read(), requests);
    begun.elapsed().as_nanos() as f64 / requests as f64
}

fn read_own(pieces: &[&[u8]], times: usize) -> usize {
    let mut reader = RequestReader::new(RespOptions::of(&Limits::default()).limits);
    let (mut buffer, mut count) = (BytesMut::with_capacity(16 << 10), 0);
    for _ in 0..times {
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(request) = reader.next(&mut buffer).unwrap() {
                black_box(&request);
                count += 1;
            }
        }
    }
    count
}

fn read_other(pieces: &[&[u8]], times: usize) -> usize {
    let (mut buffer, mut count) = (BytesMut::with_capacity(16 << 10), 0);
    for _ in 0..times {
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some((frame, _, _)) = decode_bytes_mut(&mut buffer).unwrap() {
                black_box(&frame);
                count += 1;
            }
        }
    }
    count
}
