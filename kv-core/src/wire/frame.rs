use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::wire::{Answer, Request};

/// The format of frames: one byte in front of the postcard encoding.
const FORMAT: u8 = 1;

/// Encodes a request.
pub fn encode_request(request: &Request) -> Bytes {
    encode(request)
}

/// Encodes an answer.
pub fn encode_answer(answer: &Answer) -> Bytes {
    encode(answer)
}

/// Decodes a request from untrusted bytes.
///
/// # Errors
///
/// [`ErrorKind::IncompatibleFormat`] for another format, [`ErrorKind::InvalidFrame`] for rubbish.
pub fn decode_request(frame: &[u8]) -> Result<Request, Error> {
    decode(frame)
}

/// Decodes an answer from untrusted bytes.
///
/// # Errors
///
/// [`ErrorKind::IncompatibleFormat`] for another format, [`ErrorKind::InvalidFrame`] for rubbish.
pub fn decode_answer(frame: &[u8]) -> Result<Answer, Error> {
    decode(frame)
}

fn encode<T: Serialize>(message: &T) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.push(FORMAT);
    // Messages hold nothing that postcard refuses (no sequence of unknown length, no untagged value).
    match postcard::to_extend(message, out) {
        Ok(out) => out.into(),
        Err(error) => unreachable!("a message does not encode: {error}"),
    }
}

fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Error> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidFrame, what);
    let (format, body) = frame.split_first().ok_or_else(|| invalid("the frame is empty".into()))?;
    if *format != FORMAT {
        return Err(Error::new(
            ErrorKind::IncompatibleFormat,
            format!("frame format {format} is unknown to this build, which knows format {FORMAT}"),
        ));
    }
    let (message, rest) = postcard::take_from_bytes(body)
        .map_err(|error| invalid(format!("the frame does not decode: {error}")))?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(invalid(format!("{} bytes follow the message", rest.len())))
    }
}

#[cfg(test)]
mod tests;
