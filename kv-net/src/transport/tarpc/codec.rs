//! tarpc's messages as bytes: a length (4 bytes, little-endian), a header, and the frame as it is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kv_core::error::ErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::trace::SamplingDecision;
use tarpc::{ClientMessage, Request, Response, context, trace};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder, Framed};

use super::header::{HEADER_BYTES_MAX, RequestHeader, ResponseHeader};
use super::message::{Answer, Frame};

const LENGTH_BYTES: usize = 4;
/// Size of the buffers; larger than tokio-util's, so that one system call carries what is ready together.
const BUFFER_BYTES: usize = 64 << 10;

/// The codec of the side that calls.
#[derive(Debug)]
pub struct CallerCodec {
    frame_bytes_max: usize,
    goodbye: Arc<AtomicBool>,
}

/// What the side that answers says last, when it closes a connection in good order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goodbye;

/// The codec of the side that answers.
#[derive(Debug)]
pub struct ResponderCodec {
    frame_bytes_max: usize,
    context: context::Context,
}

impl CallerCodec {
    /// A codec that refuses frames of more than `frame_bytes_max` bytes, in both directions.
    pub fn new(frame_bytes_max: usize) -> Self {
        CallerCodec { frame_bytes_max, goodbye: Arc::default() }
    }

    /// Becomes true when the other side says goodbye: what it has not answered by then it has not taken.
    pub(super) fn goodbye(&self) -> Arc<AtomicBool> {
        self.goodbye.clone()
    }
}

impl ResponderCodec {
    /// A codec that refuses frames of more than `frame_bytes_max` bytes, in both directions.
    pub fn new(frame_bytes_max: usize) -> Self {
        ResponderCodec { frame_bytes_max, context: context::current() }
    }
}

/// `io` with this codec and buffers of the size that pays.
pub fn framed<T: AsyncRead + AsyncWrite, C>(io: T, codec: C) -> Framed<T, C>
where
    C: Decoder,
{
    let mut framed = Framed::with_capacity(io, codec, BUFFER_BYTES);
    framed.set_backpressure_boundary(BUFFER_BYTES);
    framed
}

impl Encoder<ClientMessage<Frame>> for CallerCodec {
    type Error = io::Error;

    fn encode(&mut self, message: ClientMessage<Frame>, out: &mut BytesMut) -> io::Result<()> {
        match message {
            ClientMessage::Request(Request { context, id, message: Frame(frame) }) => {
                let left = context.deadline.saturating_duration_since(Instant::now()).as_millis();
                let recorded = context.trace_context.sampling_decision == SamplingDecision::Sampled;
                let header = RequestHeader::Call {
                    id,
                    deadline_ms: u32::try_from(left).unwrap_or(u32::MAX),
                    trace: recorded.then_some(context.trace_context),
                };
                encode(&header, &frame, self.frame_bytes_max, out)
            }
            ClientMessage::Cancel { request_id, .. } => {
                encode(&RequestHeader::Cancel { id: request_id }, &[], self.frame_bytes_max, out)
            }
            _ => Err(io::Error::other("tarpc sent a message of an unknown sort")),
        }
    }
}

impl Decoder for CallerCodec {
    type Item = Response<Answer>;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Response<Answer>>> {
        let Some((header, frame)) = decode::<ResponseHeader>(buffer, self.frame_bytes_max)? else {
            return Ok(None);
        };
        Ok(Some(match header {
            ResponseHeader::Answer { id } => Response { request_id: id, message: Ok(Answer::Frame(frame)) },
            ResponseHeader::Refused { id, kind } => {
                // A kind that a later release has and this one lacks is a failure like any other of the other side.
                let kind = ErrorKind::from_number(kind).unwrap_or(ErrorKind::Internal);
                Response { request_id: id, message: Ok(Answer::Refused(kind)) }
            }
            ResponseHeader::Goodbye => {
                self.goodbye.store(true, Ordering::Release);
                return Ok(None);
            }
        }))
    }
}

impl Encoder<Response<Answer>> for ResponderCodec {
    type Error = io::Error;

    fn encode(&mut self, response: Response<Answer>, out: &mut BytesMut) -> io::Result<()> {
        let id = response.request_id;
        match response.message {
            Ok(Answer::Frame(frame)) => {
                encode(&ResponseHeader::Answer { id }, &frame, self.frame_bytes_max, out)
            }
            Ok(Answer::Refused(kind)) => {
                encode(&ResponseHeader::Refused { id, kind: kind.into() }, &[], self.frame_bytes_max, out)
            }
            Err(_) => {
                let kind = ErrorKind::Internal.into();
                encode(&ResponseHeader::Refused { id, kind }, &[], self.frame_bytes_max, out)
            }
        }
    }
}

impl Encoder<Goodbye> for ResponderCodec {
    type Error = io::Error;

    fn encode(&mut self, _: Goodbye, out: &mut BytesMut) -> io::Result<()> {
        encode(&ResponseHeader::Goodbye, &[], self.frame_bytes_max, out)
    }
}

impl Decoder for ResponderCodec {
    type Item = ClientMessage<Frame>;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<ClientMessage<Frame>>> {
        let Some((header, frame)) = decode::<RequestHeader>(buffer, self.frame_bytes_max)? else {
            return Ok(None);
        };
        Ok(Some(match header {
            RequestHeader::Call { id, deadline_ms, trace } => {
                let mut context = self.context;
                context.deadline = Instant::now() + Duration::from_millis(deadline_ms.into());
                context.trace_context = trace.unwrap_or_default();
                ClientMessage::Request(Request { context, id, message: Frame(frame) })
            }
            RequestHeader::Cancel { id } => {
                ClientMessage::Cancel { trace_context: trace::Context::default(), request_id: id }
            }
        }))
    }
}

fn encode<H: Serialize>(
    header: &H,
    frame: &[u8],
    frame_bytes_max: usize,
    out: &mut BytesMut,
) -> io::Result<()> {
    if frame.len() > frame_bytes_max {
        return Err(too_large(frame.len(), frame_bytes_max));
    }
    let mut room = [0; HEADER_BYTES_MAX];
    let header = postcard::to_slice(header, &mut room).map_err(io::Error::other)?;
    let length = header.len() + frame.len();
    out.reserve(LENGTH_BYTES + length);
    out.put_u32_le(u32::try_from(length).map_err(io::Error::other)?);
    out.put_slice(header);
    out.put_slice(frame);
    Ok(())
}

/// Takes one message off the buffer; `None` if it is not complete yet.
fn decode<H: DeserializeOwned>(
    buffer: &mut BytesMut,
    frame_bytes_max: usize,
) -> io::Result<Option<(H, Bytes)>> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > frame_bytes_max.saturating_add(HEADER_BYTES_MAX) {
        return Err(too_large(length, frame_bytes_max));
    }
    let whole = LENGTH_BYTES + length;
    if buffer.len() < whole {
        // The length is a stranger's claim: room grows with what has really arrived, at most doubling each time.
        buffer.reserve((whole - buffer.len()).min(buffer.len().max(BUFFER_BYTES)));
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    let mut message = buffer.split_to(length).freeze();
    let (header, frame) = postcard::take_from_bytes::<H>(&message)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if frame.len() > frame_bytes_max {
        return Err(too_large(frame.len(), frame_bytes_max));
    }
    message.advance(length - frame.len());
    Ok(Some((header, message)))
}

fn too_large(bytes: usize, frame_bytes_max: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of {bytes} bytes is above frame_bytes_max = {frame_bytes_max}"),
    )
}

#[cfg(test)]
mod tests;
