use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::causality::{Actor, Dot, Stamp};
use crate::ids::Incarnation;
use crate::resolver::Candidate;

/// Candidates with dots of their own, and with stamps and values so few that they are often equal.
pub(super) fn candidates<'a>(random: &mut ChaCha8Rng, values: &'a [Vec<u8>]) -> Vec<Candidate<'a>> {
    let count = random.random_range(2..7);
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    while candidates.len() < count {
        let actor =
            Actor { incarnation: Incarnation(random.random_range(1..4)), birth: random.random_range(1..3) };
        let dot = Dot { actor, counter: random.random_range(1..5) };
        let stamp = Stamp::from_millis(random.random_range(1_000..1_003));
        let expiry_stamp = Stamp(stamp.0 + random.random_range(0..2));
        let value = values.choose(random).filter(|_| random.random_range(0..5) > 0).map(Vec::as_slice);
        if candidates.iter().all(|candidate| candidate.dot != dot) {
            candidates.push(Candidate { dot, stamp, expiry_stamp, value });
        }
    }
    candidates
}

/// Values of many kinds: empty, text, numbers, encoded lists, not UTF-8, long.
pub(super) fn values(random: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let texts: [&[u8]; 14] = [
        b"",
        b"\0",
        b"0",
        b"1",
        b"2",
        b"rock",
        b"paper",
        b"scissors",
        b"a\nb",
        b"b\nc",
        b"c",
        b"a,b",
        b"b,c",
        b"{}",
    ];
    let mut values: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
    values.extend([vec![0xff; 3], vec![0xc3, 0x28], u64::MAX.to_be_bytes().to_vec(), vec![b'x'; 100_000]]);
    for length in [1, 2, 4, 7, 8, 9, 16, 255, 256, 4_096] {
        values.push((0..length).map(|_| random.random()).collect());
    }
    values
}
