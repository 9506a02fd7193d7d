//! Random pipelines of all commands.

use bytes::Bytes;
use kv_net::resp::table::{COMMANDS, Support};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::resp::client::HangsUp;
use crate::resp::encode;

/// Commands of one connection, and how they are sent.
#[derive(Debug)]
pub struct Pipeline {
    /// The words of each command.
    pub commands: Vec<Vec<Bytes>>,
    /// All of them as they are sent.
    pub bytes: Vec<u8>,
    /// How many bytes are sent at a time; the rest is sent at last.
    pub cuts: Vec<usize>,
    /// When the client hangs up.
    pub hangs_up: HangsUp,
}

/// Most commands of a pipeline.
const COMMANDS_MAX: usize = 120;

impl Pipeline {
    /// A pipeline of all commands there are, on few keys that begin with `prefix`.
    pub fn random(random: &mut ChaCha8Rng, prefix: &str) -> Pipeline {
        let count = random.random_range(1..=COMMANDS_MAX);
        let mut commands: Vec<Vec<Bytes>> = (0..count).map(|place| command(random, prefix, place)).collect();
        let quits = random.random_ratio(1, 4);
        if quits {
            commands.push(vec![Bytes::from_static(b"QUIT")]);
        }
        let mut bytes = Vec::new();
        for words in &commands {
            match random.random_ratio(1, 10) {
                true => encode::line(words, &mut bytes),
                false => encode::array(words, &mut bytes),
            }
        }
        if quits {
            // Nothing of this is read.
            bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\nrubbish");
        }
        let cuts = match random.random_range(0..4_u32) {
            0 => Vec::new(),
            1 => (0..random.random_range(0..60)).map(|_| random.random_range(1..8)).collect(),
            _ => (0..random.random_range(0..20)).map(|_| random.random_range(1..400)).collect(),
        };
        let hangs_up = match random.random() {
            true => HangsUp::AtOnce,
            false => HangsUp::After(commands.len()),
        };
        Pipeline { commands, bytes, cuts, hangs_up }
    }

    /// The bytes in the pieces in which they are sent.
    pub fn pieces(&self) -> Vec<&[u8]> {
        pieces(&self.bytes, &self.cuts)
    }
}

/// Bytes cut after so many each.
pub fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        if !piece.is_empty() {
            pieces.push(piece);
        }
    }
    pieces
}

/// The command at that place of a pipeline.
fn command(random: &mut ChaCha8Rng, prefix: &str, place: usize) -> Vec<Bytes> {
    let keys = |random: &mut ChaCha8Rng, count: usize| -> Vec<Bytes> {
        (0..count).map(|_| format!("{prefix}{}", random.random_range(0..4_u32)).into()).collect()
    };
    let word = Bytes::from_static;
    let mut words = match random.random_range(0..100_u32) {
        0..6 => {
            let key = keys(random, 1)[0].clone();
            expiry(random, key, place)
        }
        6..16 => [vec![word(b"SET")], keys(random, 1), vec![value(random, place)]].concat(),
        16..22 => [vec![word(b"SET")], keys(random, 1), vec![value(random, place), word(b"GET")]].concat(),
        22..38 => [vec![word(b"GET")], keys(random, 1)].concat(),
        38..43 => {
            let count = random.random_range(1..5);
            [vec![word(b"MGET")], keys(random, count)].concat()
        }
        43..48 => {
            let mut words = vec![word(b"MSET")];
            for key in keys(random, 3) {
                words.extend([key, value(random, place)]);
            }
            words
        }
        48..56 => {
            let name = [&b"DEL"[..], b"UNLINK"].choose(random).copied().unwrap_or_default();
            let count = random.random_range(1..4);
            [vec![word(name)], keys(random, count)].concat()
        }
        56..60 => {
            let count = random.random_range(1..6);
            [vec![word(b"EXISTS")], keys(random, count)].concat()
        }
        60..63 => [vec![word(b"STRLEN")], keys(random, 1)].concat(),
        63..66 => [vec![word(b"TYPE")], keys(random, 1)].concat(),
        66..72 => {
            [vec![word(b"KV.PUT")], keys(random, 1), vec![value(random, place), word(b"BLIND")]].concat()
        }
        72..74 => [vec![word(b"KV.PUT")], keys(random, 1), vec![value(random, place)]].concat(),
        74..79 => [vec![word(b"KV.GET")], keys(random, 1)].concat(),
        79..81 => [vec![word(b"KV.DEL")], keys(random, 1)].concat(),
        81..85 => {
            let name = [&b"default"[..], b"0", b"redis", b"7"].choose(random).copied().unwrap_or_default();
            vec![word(b"SELECT"), word(name)]
        }
        85..88 => {
            let version = [&b"2"[..], b"3", b"4"].choose(random).copied().unwrap_or_default();
            vec![word(b"HELLO"), word(version)]
        }
        88..95 => about(random, place),
        95..96 => {
            let count = [&b"5"[..], b"1000000"].choose(random).copied().unwrap_or_default();
            let pattern = format!("{prefix}*").into();
            vec![word(b"SCAN"), word(b"0"), word(b"MATCH"), pattern, word(b"COUNT"), word(count)]
        }
        _ => {
            let keys = keys(random, 2);
            wrong(random, &keys)
        }
    };
    if random.random_ratio(1, 8) {
        words[0] = words[0].to_ascii_lowercase().into();
    }
    words
}

/// A command about when a key expires: in an hour, or at once.
fn expiry(random: &mut ChaCha8Rng, key: Bytes, place: usize) -> Vec<Bytes> {
    let of = |name: &'static str, key, more: &[&'static str]| -> Vec<Bytes> {
        [name.into(), key].into_iter().chain(more.iter().map(|word| Bytes::from(*word))).collect()
    };
    match random.random_range(0..9_u32) {
        0 => of("EXPIRE", key, &["3600"]),
        1 => of("PEXPIREAT", key, &["4102444800000"]),
        2 => of("EXPIRE", key, &["-1"]),
        3 => of("PERSIST", key, &[]),
        4 => of("TTL", key, &[]),
        5 => of("PEXPIRETIME", key, &[]),
        6 => [of("SETEX", key, &["3600"]), vec![value(random, place)]].concat(),
        7 => [of("SET", key, &[]), vec![value(random, place)], vec!["PX".into(), "3600000".into()]].concat(),
        _ => of("GETEX", key, &["EX", "3600"]),
    }
}

/// A value that no other command of the pipeline has.
fn value(random: &mut ChaCha8Rng, place: usize) -> Bytes {
    let length = match random.random_range(0..20_u32) {
        0 => random.random_range(1_000..6_000),
        _ => random.random_range(0..40),
    };
    let mut value: Vec<u8> = (0..length).map(|_| random.random()).collect();
    value.extend_from_slice(format!("{place}-{}", random.random::<u32>()).as_bytes());
    value.into()
}

/// A command about the connection or the server.
fn about(random: &mut ChaCha8Rng, place: usize) -> Vec<Bytes> {
    let of = |line: &'static str| line.split(' ').map(Bytes::from).collect();
    match random.random_range(0..16_u32) {
        0..4 => of("PING"),
        4 => vec!["PING".into(), value(random, place)],
        5..7 => vec!["ECHO".into(), value(random, place)],
        7 => of("CLIENT SETNAME me"),
        8 => of("CLIENT GETNAME"),
        9 => of("CLIENT ID"),
        10 => of("CLIENT INFO"),
        11 => of("RESET"),
        12 => of("COMMAND COUNT"),
        13 => of("CONFIG GET save"),
        14 => of("DBSIZE"),
        _ => of("INFO"),
    }
}

/// A command that is answered with an error.
fn wrong(random: &mut ChaCha8Rng, keys: &[Bytes]) -> Vec<Bytes> {
    let refused = COMMANDS.iter().filter(|command| matches!(command.support, Support::Refused(_)));
    let refused: Vec<_> = refused.filter(|command| command.name != "AUTH").collect();
    match random.random_range(0..4_u32) {
        0 => vec!["NOSUCH".into(), keys[0].clone()],
        1 => vec!["GET".into(), keys[0].clone(), keys[1].clone()],
        2 => vec!["MSET".into(), keys[0].clone()],
        _ => {
            let Some(command) = refused.choose(random) else { return vec!["NOSUCH".into()] };
            let count = command.arity.unsigned_abs() as usize - 1;
            std::iter::once(command.name.into()).chain(keys.iter().cycle().take(count).cloned()).collect()
        }
    }
}
