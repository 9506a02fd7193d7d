use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// The version of the protocol in which replies are written; requests look the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2, which connections begin with.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// A reply. What RESP2 has no form for is written as its clients expect it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A short text: `OK`.
    Simple(Cow<'static, str>),
    /// An error: a code in capitals, and what is wrong.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing.
    Null,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs; a list of twice as many in RESP2.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// `OK`.
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));

    /// An error without a code of its own.
    pub fn error(what: impl std::fmt::Display) -> Self {
        Reply::Error(format!("ERR {what}"))
    }

    /// A text as bytes.
    pub fn text(text: impl Into<String>) -> Self {
        Reply::Bulk(text.into().into())
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Reply::Simple(text) => text.len(),
            Reply::Error(text) => text.len(),
            Reply::Integer(_) | Reply::Null => 8,
            Reply::Bulk(bytes) => bytes.len() + 8,
            Reply::Array(replies) => 8 + replies.iter().map(Reply::bytes).sum::<usize>(),
            Reply::Map(pairs) => {
                8 + pairs.iter().map(|(name, value)| name.bytes() + value.bytes()).sum::<usize>()
            }
        }
    }

    /// Appends the reply to `out`.
    pub fn write(&self, protocol: Protocol, out: &mut BytesMut) {
        match self {
            Reply::Simple(text) => line(out, b'+', text.as_bytes()),
            Reply::Error(text) => line(out, b'-', text.as_bytes()),
            Reply::Integer(number) => number_line(out, b':', *number),
            Reply::Bulk(bytes) => {
                number_line(out, b'$', bytes.len() as i64);
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Null if protocol == Protocol::Resp3 => out.extend_from_slice(b"_\r\n"),
            Reply::Null => out.extend_from_slice(b"$-1\r\n"),
            Reply::Array(replies) => {
                number_line(out, b'*', replies.len() as i64);
                for reply in replies {
                    reply.write(protocol, out);
                }
            }
            Reply::Map(pairs) => {
                match protocol {
                    Protocol::Resp2 => number_line(out, b'*', pairs.len() as i64 * 2),
                    Protocol::Resp3 => number_line(out, b'%', pairs.len() as i64),
                }
                for (name, value) in pairs {
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
        }
    }
}

/// A line may not contain the end of one: whoever could write one into an error could write replies.
fn line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.extend_from_slice(&[kind]);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

fn number_line(out: &mut BytesMut, kind: u8, number: i64) {
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&[kind]);
    if number < 0 {
        out.extend_from_slice(b"-");
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        reply.write(protocol, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn replies_are_written_in_both_protocols() {
        let pairs = Reply::Map(vec![(Reply::text("a"), Reply::Integer(-12)), (Reply::text(""), Reply::Null)]);
        assert_eq!(written(&pairs, Protocol::Resp2), "*4\r\n$1\r\na\r\n:-12\r\n$0\r\n\r\n$-1\r\n");
        assert_eq!(written(&pairs, Protocol::Resp3), "%2\r\n$1\r\na\r\n:-12\r\n$0\r\n\r\n_\r\n");
        let list = Reply::Array(vec![Reply::OK, Reply::Integer(i64::MIN), Reply::Integer(0)]);
        assert_eq!(written(&list, Protocol::Resp3), "*3\r\n+OK\r\n:-9223372036854775808\r\n:0\r\n");
    }

    #[test]
    fn an_error_stays_on_its_line() {
        assert_eq!(written(&Reply::error("no\r\n+OK"), Protocol::Resp2), "-ERR no  +OK\r\n");
    }
}
