//! Requests as they arrive: arrays of bulk strings, or words on a line.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use thiserror::Error;

/// Bounds of what a client may send.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Most words of a request.
    pub words_max: usize,
    /// Most bytes of a word.
    pub word_bytes_max: usize,
    /// Most bytes of a request.
    pub request_bytes_max: usize,
}

/// Most bytes of a request that is a line, and of the line that announces a length.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A client that does not speak the protocol; the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Protocol error: {0}")]
pub struct ProtocolError(pub String);

/// The words of a request, which share one buffer.
#[derive(Debug, Clone)]
pub struct Request {
    frame: Bytes,
    words: Words,
}

type Words = SmallVec<[Range<usize>; 4]>;

impl Request {
    fn of(words: &[Vec<u8>]) -> Option<Request> {
        let mut frame = BytesMut::new();
        let mut places = Words::new();
        for word in words {
            places.push(frame.len()..frame.len() + word.len());
            frame.extend_from_slice(word);
        }
        (!words.is_empty()).then(|| Request { frame: frame.freeze(), words: places })
    }

    /// How many words; at least one.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are no words, which no request is.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The word at that place, empty if there is none.
    pub fn word(&self, place: usize) -> &[u8] {
        self.words.get(place).and_then(|range| self.frame.get(range.clone())).unwrap_or_default()
    }

    /// The word at that place, without a copy.
    pub fn bytes(&self, place: usize) -> Bytes {
        self.words.get(place).map(|range| self.frame.slice(range.clone())).unwrap_or_default()
    }

    /// The words from that place on.
    pub fn words_from(&self, place: usize) -> impl Iterator<Item = &[u8]> {
        (place..self.len()).map(|place| self.word(place))
    }
}

/// Takes requests from the front of a buffer, and goes on where it stopped when more has arrived: what was looked at is not looked at again.
#[derive(Debug)]
pub struct RequestReader {
    limits: RequestLimits,
    state: State,
    /// How far the buffer was read, from its front.
    position: usize,
    /// How many bytes from there on have no end of a line among them.
    searched: usize,
    words: Words,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a request.
    Start,
    /// So many words are missing.
    Words(usize),
    /// A word of that many bytes is next, and so many are missing, this one included.
    Word(usize, usize),
}

impl RequestReader {
    /// A reader for a new connection.
    pub fn new(limits: RequestLimits) -> Self {
        RequestReader { limits, state: State::Start, position: 0, searched: 0, words: Words::new() }
    }

    /// Takes the next request off the front of `buffer`; none if it is not whole yet. Nothing is allocated for what was only announced.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing can be read after that.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        loop {
            if self.position > self.limits.request_bytes_max {
                return Err(error("the request is too large"));
            }
            match self.state {
                State::Start => match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(line) = self.line(buffer)? else { return Ok(None) };
                        let count = line.get(1..).and_then(integer);
                        let most = self.limits.words_max as i64;
                        let Some(count) = count.filter(|count| *count <= most) else {
                            return Err(error("invalid multibulk length"));
                        };
                        match usize::try_from(count) {
                            Ok(count) if count > 0 => self.state = State::Words(count),
                            // An empty request asks for nothing.
                            _ => self.forget(buffer),
                        }
                    }
                    Some(_) => {
                        let Some(line) = self.line(buffer)? else { return Ok(None) };
                        let words = split_line(line, self.limits.words_max)?;
                        self.forget(buffer);
                        // An empty line asks for nothing.
                        if let Some(request) = Request::of(&words) {
                            return Ok(Some(request));
                        }
                    }
                },
                State::Words(missing) => {
                    let Some(line) = self.line(buffer)? else { return Ok(None) };
                    let Some((b'$', digits)) = line.split_first() else {
                        let found = char::from(line.first().copied().unwrap_or(b' '));
                        return Err(error(format!("expected '$', got '{}'", found.escape_default())));
                    };
                    let length = integer(digits).and_then(|length| usize::try_from(length).ok());
                    match length.filter(|length| *length <= self.limits.word_bytes_max) {
                        Some(length) => self.state = State::Word(length, missing),
                        None => return Err(error("invalid bulk length")),
                    }
                }
                State::Word(length, missing) => {
                    let end = self.position + length;
                    match buffer.get(end..end + 2) {
                        None => return Ok(None),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(error("a bulk string is longer than it says")),
                    }
                    self.words.push(self.position..end);
                    self.position = end + 2;
                    if missing > 1 {
                        self.state = State::Words(missing - 1);
                        continue;
                    }
                    return Ok(Some(self.take(buffer)));
                }
            }
        }
    }

    /// How many bytes are known to be missing: a buffer that has room for them need not grow twice.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        match self.state {
            State::Word(length, _) => (self.position + length + 2).saturating_sub(buffer.len()),
            _ => 0,
        }
    }

    /// The line at the position, without its end, which the position then stands behind.
    fn line<'a>(&mut self, buffer: &'a BytesMut) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = buffer.get(self.position..).unwrap_or_default();
        let searched = std::mem::take(&mut self.searched);
        let new = rest.get(searched..rest.len().min(LINE_BYTES_MAX)).unwrap_or_default();
        let Some(length) = new.iter().position(|byte| *byte == b'\n').map(|found| searched + found) else {
            if rest.len() >= LINE_BYTES_MAX {
                return Err(error("too big a line"));
            }
            self.searched = rest.len();
            return Ok(None);
        };
        self.position += length + 1;
        let line = rest.get(..length).unwrap_or_default();
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    fn take(&mut self, buffer: &mut BytesMut) -> Request {
        let frame = buffer.split_to(self.position).freeze();
        let words = std::mem::take(&mut self.words);
        self.state = State::Start;
        self.position = 0;
        Request { frame, words }
    }

    fn forget(&mut self, buffer: &mut BytesMut) {
        buffer.advance(self.position);
        self.state = State::Start;
        self.position = 0;
    }
}

fn error(what: impl Into<String>) -> ProtocolError {
    ProtocolError(what.into())
}

/// A decimal number, as strict as Redis is.
pub(super) fn integer(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 20 || digits.starts_with(b"+") {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Splits a line into words: at blanks, but not inside quotes.
fn split_line(line: &[u8], words_max: usize) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let unbalanced = || error("unbalanced quotes in request");
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    loop {
        while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        let Some(first) = bytes.peek().copied() else { return Ok(words) };
        let mut word = Vec::new();
        if first == b'"' || first == b'\'' {
            bytes.next();
            loop {
                match bytes.next().ok_or_else(unbalanced)? {
                    byte if byte == first => break,
                    b'\\' if first == b'"' => word.push(unescape(&mut bytes).ok_or_else(unbalanced)?),
                    b'\\' if bytes.next_if_eq(&b'\'').is_some() => word.push(b'\''),
                    byte => word.push(byte),
                }
            }
            if bytes.peek().is_some_and(|next| !next.is_ascii_whitespace()) {
                return Err(unbalanced());
            }
        } else {
            while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
                word.push(byte);
            }
        }
        if words.len() == words_max {
            return Err(error("too many words in a line"));
        }
        words.push(word);
    }
}

/// What stands behind a backslash in double quotes.
fn unescape(bytes: &mut (impl Iterator<Item = u8> + Clone)) -> Option<u8> {
    Some(match bytes.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'x' => {
            let mut ahead = bytes.clone();
            let mut digit = || ahead.next().and_then(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else { return Some(b'x') };
            let byte = (high * 16 + low) as u8;
            *bytes = ahead;
            byte
        }
        byte => byte,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RequestLimits =
        RequestLimits { words_max: 100, word_bytes_max: 1_000, request_bytes_max: 20_000 };

    fn words(request: &Request) -> Vec<Vec<u8>> {
        request.words_from(0).map(<[u8]>::to_vec).collect()
    }

    fn all(input: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let (mut reader, mut buffer) = (RequestReader::new(LIMITS), BytesMut::from(input));
        let mut requests = Vec::new();
        while let Some(request) = reader.next(&mut buffer)? {
            requests.push(words(&request));
        }
        Ok(requests)
    }

    fn encode(request: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", request.len()).into_bytes();
        for word in request {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn text(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_are_requests_too() {
        let input = b"PING\r\n\r\n  set  k 'a b'\n get \"\\x41\\n\\\"\"\r\n*0\r\n*-1\r\necho ''\n";
        let expected =
            [text(&["PING"]), text(&["set", "k", "a b"]), text(&["get", "A\n\""]), text(&["echo", ""])];
        assert_eq!(all(input).unwrap(), expected);
        // What is no pair of hexadecimal digits stands for itself.
        let input = br#""\x+e" "\x4g" "\x" "\x4""#;
        assert_eq!(all(&[&input[..], b"\n"].concat()).unwrap(), [text(&["x+e", "x4g", "x", "x4"])]);
        for bad in ["get \"a", "get 'a", "get \"a\"b"] {
            let error = all(format!("{bad}\n").as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "Protocol error: unbalanced quotes in request");
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_named_as_redis_does() {
        for (input, what) in [
            ("*101\r\n", "invalid multibulk length"),
            ("*x\r\n", "invalid multibulk length"),
            ("*99999999999999999999\r\n", "invalid multibulk length"),
            ("*1\r\n$1001\r\n", "invalid bulk length"),
            ("*1\r\n$-1\r\n", "invalid bulk length"),
            ("*1\r\n:1\r\n", "expected '$', got ':'"),
            ("*1\r\n$1\r\nabc", "a bulk string is longer than it says"),
        ] {
            let error = all(input.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), format!("Protocol error: {what}"), "{input:?}");
        }
        assert!(all(&vec![b'a'; LINE_BYTES_MAX]).is_err());
        let many =
            all("a ".repeat(101).as_bytes().iter().chain(b"\n").copied().collect::<Vec<_>>().as_slice());
        assert_eq!(many.unwrap_err().to_string(), "Protocol error: too many words in a line");
        let large = vec![vec![b'x'; 1_000]; 30];
        assert_eq!(all(&encode(&large)).unwrap_err().to_string(), "Protocol error: the request is too large");
    }

    proptest! {
        #[test]
        fn requests_come_out_as_they_went_in_however_they_are_cut(
            requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..6),
            cuts in prop::collection::vec(1_usize..30, 1..60),
        ) {
            let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
            let (mut reader, mut buffer) = (RequestReader::new(LIMITS), BytesMut::new());
            let (mut found, mut rest) = (Vec::new(), &bytes[..]);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                buffer.extend_from_slice(now);
                rest = later;
                while let Some(request) = reader.next(&mut buffer).unwrap() {
                    found.push(words(&request));
                }
            }
            prop_assert_eq!(found, requests);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn rubbish_neither_panics_nor_stalls(input in prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'), Just(b'"'), any::<u8>()
        ], 0..300)) {
            let _ = all(&input);
        }
    }
}
