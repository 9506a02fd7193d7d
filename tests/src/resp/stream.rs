//! Random streams: whole, broken, changed, or rubbish.

use bytes::Bytes;
use kv_net::resp::RequestLimits;
use kv_net::resp::table::COMMANDS;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::resp::encode;
use crate::resp::parsed::LINE_BYTES_MAX;

/// Bytes that a client may send.
#[derive(Debug)]
pub struct Stream {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What was meant, if the bytes are not only thrown together.
    pub meant: Option<Meant>,
}

/// What a stream was made of.
#[derive(Debug)]
pub struct Meant {
    /// Its requests.
    pub requests: Vec<Vec<Bytes>>,
    /// What is wrong behind them.
    pub error: Option<&'static str>,
}

/// Bounds that random streams reach easily.
pub const LIMITS: RequestLimits =
    RequestLimits { words_max: 20, word_bytes_max: 300, request_bytes_max: 1_500 };

/// What begins like a request and breaks a rule, and the error that says so.
const BREAKS: &[(&[u8], &str)] = &[
    (b"*21\r\n", "invalid multibulk length"),
    (b"*x\r\n", "invalid multibulk length"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"*99999999999999999999\r\n", "invalid multibulk length"),
    (b"*9223372036854775807\r\n", "invalid multibulk length"),
    (b"*1\r\n$301\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*2\r\n$3\r\nGET\r\n$9223372036854775807\r\n", "invalid bulk length"),
    (b"*1\r\n$ 1\r\n", "invalid bulk length"),
    (b"*1\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"),
    (b"*2\r\n$1\r\na\r\n*1\r\n", "expected '$', got '*'"),
    (b"*1\r\n:1\r\n", "expected '$', got ':'"),
    (b"*1\r\n\r\n", "expected '$', got ' '"),
    (b"*1\r\n$1\r\nab\r\n", "a bulk string is longer than it says"),
    (b"GET \"a\r\n", "unbalanced quotes in request"),
    (b"GET 'a'b\r\n", "unbalanced quotes in request"),
    (b"DEL a a a a a a a a a a a a a a a a a a a a\r\n", "too many words in a line"),
];

impl Stream {
    /// A stream: whole requests, requests with something wrong behind them, changed ones, or rubbish.
    pub fn random(random: &mut ChaCha8Rng) -> Stream {
        let requests: Vec<Vec<Bytes>> = (0..random.random_range(0..8)).map(|_| request(random)).collect();
        let mut bytes = Vec::new();
        for words in &requests {
            if random.random_ratio(1, 20) {
                // These ask for nothing.
                bytes
                    .extend_from_slice([&b"\r\n"[..], b"*0\r\n", b"*-5\r\n", b" \n"].choose(random).unwrap());
            }
            match random.random_ratio(1, 4) {
                true => encode::line(words, &mut bytes),
                false => encode::array(words, &mut bytes),
            }
        }
        let mut error = None;
        match random.random_range(0..10_u32) {
            0..3 => {}
            3..5 => {
                let (broken, what) = BREAKS.choose(random).copied().unwrap_or_default();
                bytes.extend_from_slice(broken);
                error = Some(what);
            }
            5 => {
                let what = too_much(random, &mut bytes);
                error = Some(what);
            }
            6..9 => {
                mutate(random, &mut bytes);
                return Stream { bytes, meant: None };
            }
            _ => return Stream { bytes: rubbish(random), meant: None },
        }
        if error.is_some() {
            bytes.extend(rubbish(random));
        }
        Stream { bytes, meant: Some(Meant { requests, error }) }
    }
}

/// More than a request or a line may have.
fn too_much(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) -> &'static str {
    if random.random_ratio(1, 100) {
        let first = [b'a', b'*'].choose(random).copied().unwrap_or_default();
        bytes.push(first);
        bytes.extend(std::iter::repeat_n(b'1', LINE_BYTES_MAX - 1));
        return "too big a line";
    }
    bytes.extend_from_slice(b"*20\r\n");
    for _ in 0..20 {
        bytes.extend_from_slice(b"$290\r\n");
        bytes.extend(std::iter::repeat_n(b'x', 290));
        bytes.extend_from_slice(b"\r\n");
    }
    "the request is too large"
}

/// A request within the bounds, of words of which commands are made.
fn request(random: &mut ChaCha8Rng) -> Vec<Bytes> {
    let mut words = Vec::new();
    match random.random_range(0..20_u32) {
        0 => words.push(word(random)),
        _ => {
            let name = COMMANDS.choose(random).map(|command| command.name).unwrap_or_default();
            words.push(if random.random_ratio(1, 8) {
                name.to_ascii_lowercase().into()
            } else {
                name.into()
            });
        }
    }
    let most = if random.random_ratio(1, 10) { LIMITS.words_max } else { 5 };
    for _ in 1..random.random_range(1..=most) {
        words.push(word(random));
    }
    if words.len() < 4 && random.random_ratio(1, 20) {
        words.push(Bytes::from(vec![random.random(); LIMITS.word_bytes_max]));
    }
    words
}

fn word(random: &mut ChaCha8Rng) -> Bytes {
    const WORDS: &[&str] = &[
        "a",
        "b",
        "c",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "",
        "default",
        "redis",
        "GET",
        "NX",
        "EX",
        "BLIND",
        "CONTEXT",
        "W",
        "R",
        "TIMEOUT",
        "5",
        "one",
        "quorum",
        "all",
        "00ff",
        "SETNAME",
        "GETNAME",
        "LIST",
        "INFO",
        "ID",
        "SETINFO",
        "LIB-NAME",
        "DOCS",
        "COUNT",
        "HELP",
        "AUTH",
        "save",
        "*",
        "server",
        "9223372036854775808",
    ];
    match random.random_range(0..8_u32) {
        0 => (0..random.random_range(0..30)).map(|_| random.random::<u8>()).collect(),
        _ => WORDS.choose(random).copied().unwrap_or_default().into(),
    }
}

/// Changes a few bytes.
fn mutate(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    const PIECES: &[&[u8]] =
        &[b"\r\n", b"\n", b"\r", b"*", b"$", b"*2\r\n", b"$1\r\n", b"-1", b"0", b"\"", b"'", b"\\x", b"9"];
    for _ in 0..random.random_range(1..6_u32) {
        let place = random.random_range(0..=bytes.len());
        match random.random_range(0..7_u32) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, random.random()),
            2 if place < bytes.len() => drop(bytes.remove(place)),
            3 if place < bytes.len() => bytes[place] ^= 1 << random.random_range(0..8_u32),
            4 => {
                let from = random.random_range(0..=place);
                let again = bytes[from..place].to_vec();
                bytes.splice(place..place, again);
            }
            5 => {
                let to = random.random_range(place..=bytes.len());
                bytes.drain(place..to);
            }
            _ => {
                let piece = PIECES.choose(random).copied().unwrap_or_default();
                bytes.splice(place..place, piece.iter().copied());
            }
        }
    }
    bytes.truncate(8_192);
}

fn rubbish(random: &mut ChaCha8Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"**$$\r\n\r\n\n0123-\"'\\x aGET";
    let byte = |random: &mut ChaCha8Rng| match random.random_ratio(1, 8) {
        true => random.random(),
        false => BYTES.choose(random).copied().unwrap_or_default(),
    };
    (0..random.random_range(0..200)).map(|_| byte(random)).collect()
}
