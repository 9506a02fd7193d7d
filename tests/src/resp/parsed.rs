//! What a whole stream of requests means: the rules of the front door's reader, written down once more in the plainest way.

use bytes::Bytes;
use kv_net::resp::RequestLimits;

/// The requests of a stream.
#[derive(Debug, Default, PartialEq)]
pub struct Parsed {
    /// The words of each, in order.
    pub requests: Vec<Vec<Bytes>>,
    /// What is wrong behind them; nothing if the rest is only not whole.
    pub error: Option<String>,
}

/// Most bytes of a line, its end included.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Why reading stops.
enum Stop {
    NotWhole,
    Wrong(String),
}

fn wrong<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Wrong(what.into()))
}

impl Parsed {
    /// The meaning of `bytes`.
    pub fn of(bytes: &[u8], limits: &RequestLimits) -> Parsed {
        let mut parsed = Parsed::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let whole = rest;
            match request(&mut rest, whole.len(), limits) {
                Ok(words) if words.is_empty() => {}
                Ok(words) => parsed.requests.push(words),
                Err(Stop::NotWhole) => break,
                Err(Stop::Wrong(what)) => {
                    parsed.error = Some(what);
                    break;
                }
            }
        }
        parsed
    }
}

fn request(rest: &mut &[u8], before: usize, limits: &RequestLimits) -> Result<Vec<Bytes>, Stop> {
    if rest[0] != b'*' {
        return words_of(line(rest)?, limits);
    }
    let fits = |rest: &[u8]| match before - rest.len() > limits.request_bytes_max {
        true => wrong("the request is too large"),
        false => Ok(()),
    };
    let count = number(&line(rest)?[1..]).filter(|count| *count <= limits.words_max as i64);
    let Some(count) = count else { return wrong("invalid multibulk length") };
    let mut words = Vec::new();
    for _ in 0..count {
        fits(rest)?;
        let announced = line(rest)?;
        if announced.first() != Some(&b'$') {
            let found = char::from(announced.first().copied().unwrap_or(b' '));
            return wrong(&format!("expected '$', got '{}'", found.escape_default()));
        }
        let length = number(&announced[1..]).and_then(|length| usize::try_from(length).ok());
        let Some(length) = length.filter(|length| *length <= limits.word_bytes_max) else {
            return wrong("invalid bulk length");
        };
        fits(rest)?;
        match rest.get(length..length + 2) {
            None => return Err(Stop::NotWhole),
            Some(b"\r\n") => words.push(Bytes::copy_from_slice(&rest[..length])),
            Some(_) => return wrong("a bulk string is longer than it says"),
        }
        *rest = &rest[length + 2..];
    }
    Ok(words)
}

/// Takes a line, and returns it without its end.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let all = *rest;
    match all.iter().position(|byte| *byte == b'\n') {
        Some(length) if length < LINE_BYTES_MAX => {
            *rest = &all[length + 1..];
            let line = &all[..length];
            Ok(line.strip_suffix(b"\r").unwrap_or(line))
        }
        None if all.len() < LINE_BYTES_MAX => Err(Stop::NotWhole),
        _ => wrong("too big a line"),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let (is_negative, rest) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if rest.is_empty() || digits.len() > 20 || !rest.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = rest.iter().fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    i64::try_from(if is_negative { -size } else { size }).ok()
}

/// The words of a request that is a line.
fn words_of(line: &[u8], limits: &RequestLimits) -> Result<Vec<Bytes>, Stop> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while let Some(first) = rest.first() {
        let (word, length) = match first {
            b'"' | b'\'' => quoted(rest)?,
            _ => {
                let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..length].to_vec(), length)
            }
        };
        if words.len() == limits.words_max {
            return wrong("too many words in a line");
        }
        words.push(word.into());
        rest = rest[length..].trim_ascii_start();
    }
    Ok(words)
}

/// The word in quotes with which `rest` begins, and how many bytes it takes.
fn quoted(rest: &[u8]) -> Result<(Vec<u8>, usize), Stop> {
    let (quote, mut word, mut place) = (rest[0], Vec::new(), 1);
    loop {
        let (byte, length) = match (quote, &rest[place..]) {
            (_, []) => return wrong("unbalanced quotes in request"),
            (quote, [first, behind @ ..]) if *first == quote => {
                return match behind.first() {
                    Some(next) if !next.is_ascii_whitespace() => wrong("unbalanced quotes in request"),
                    _ => Ok((word, place + 1)),
                };
            }
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (b'"', [b'\\', b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0) as u8;
                (digit(high) * 16 + digit(low), 4)
            }
            (b'"', [b'\\', escaped, ..]) => match escaped {
                b'n' => (b'\n', 2),
                b'r' => (b'\r', 2),
                b't' => (b'\t', 2),
                b'a' => (7, 2),
                b'b' => (8, 2),
                other => (*other, 2),
            },
            (b'"', [b'\\']) => return wrong("unbalanced quotes in request"),
            (_, [byte, ..]) => (*byte, 1),
        };
        word.push(byte);
        place += length;
    }
}
