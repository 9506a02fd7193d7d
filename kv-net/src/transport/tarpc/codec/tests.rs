use proptest::prelude::*;

use super::*;

const MAX: usize = 1_000;

fn request(id: u64, frame: &[u8]) -> ClientMessage<Frame> {
    let mut context = context::current();
    context.trace_context = trace::Context::default();
    context.deadline = Instant::now() + Duration::from_secs(60 * 60);
    ClientMessage::Request(Request { context, id, message: Frame(Bytes::copy_from_slice(frame)) })
}

fn encoded(message: ClientMessage<Frame>) -> BytesMut {
    let mut out = BytesMut::new();
    CallerCodec::new(MAX).encode(message, &mut out).unwrap();
    out
}

fn answered(message: Answer) -> BytesMut {
    let mut out = BytesMut::new();
    ResponderCodec::new(MAX).encode(Response { request_id: 300, message: Ok(message) }, &mut out).unwrap();
    out
}

#[test]
fn the_bytes_of_messages_are_golden() {
    let mut call = encoded(request(300, b"abc"));
    // The time that is left has passed since by a little.
    let deadline = &call[7..11];
    let ms = deadline.iter().rev().fold(0_u64, |ms, byte| ms << 7 | u64::from(byte & 0x7f));
    assert!((3_500_000..=3_600_000).contains(&ms), "{ms}");
    call[7..11].fill(0);
    assert_eq!(call[..], [11, 0, 0, 0, 0, 0xac, 2, 0, 0, 0, 0, 0, b'a', b'b', b'c']);
    let cancel = ClientMessage::Cancel { trace_context: trace::Context::default(), request_id: 300 };
    assert_eq!(encoded(cancel)[..], [3, 0, 0, 0, 1, 0xac, 2]);
    assert_eq!(answered(Answer::Frame(Bytes::from_static(b"xy")))[..], [5, 0, 0, 0, 0, 0xac, 2, b'x', b'y']);
    assert_eq!(answered(Answer::Refused(ErrorKind::Overloaded))[..], [4, 0, 0, 0, 1, 0xac, 2, 22]);
}

#[test]
fn a_trace_travels_if_it_is_recorded() {
    let ClientMessage::Request(mut sent) = request(1, b"x") else { unreachable!() };
    sent.context.trace_context.trace_id = 7_u128.into();
    sent.context.trace_context.span_id = 8_u64.into();
    sent.context.trace_context.sampling_decision = SamplingDecision::Sampled;
    let trace = sent.context.trace_context;
    let mut bytes = encoded(ClientMessage::Request(sent));
    let Some(ClientMessage::Request(got)) = ResponderCodec::new(MAX).decode(&mut bytes).unwrap() else {
        panic!("no request")
    };
    assert_eq!(got.context.trace_context, trace);
}

#[test]
fn a_frame_above_the_bound_is_not_encoded() {
    let mut out = BytesMut::new();
    assert!(CallerCodec::new(MAX).encode(request(1, &[0; MAX]), &mut out).is_ok());
    let whole = out.len();
    assert!(CallerCodec::new(MAX).encode(request(1, &[0; MAX + 1]), &mut out).is_err());
    assert_eq!(out.len(), whole, "half a message stays in the buffer");
}

#[test]
fn a_claimed_length_makes_no_room_that_nothing_fills() {
    let max = 1 << 30;
    let mut buffer = BytesMut::from(&(max as u32).to_le_bytes()[..]);
    assert!(ResponderCodec::new(max).decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() <= 4 * BUFFER_BYTES, "{} bytes reserved", buffer.capacity());
    let mut buffer = BytesMut::from(&(max as u32 + 65).to_le_bytes()[..]);
    assert!(ResponderCodec::new(max).decode(&mut buffer).is_err());
}

#[test]
fn a_refusal_of_a_kind_of_a_later_release_is_an_internal_error() {
    let mut bytes = BytesMut::from(&[5, 0, 0, 0, 1, 1, 0xff, 0xff, 3][..]);
    let response = CallerCodec::new(MAX).decode(&mut bytes).unwrap().unwrap();
    assert_eq!(response.message, Ok(Answer::Refused(ErrorKind::Internal)));
}

proptest! {
    #[test]
    fn messages_arrive_as_they_were_however_the_bytes_are_cut(
        frames in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..MAX)), 1..20),
        cut in 1_usize..500,
    ) {
        let mut bytes = BytesMut::new();
        for (id, frame) in &frames {
            bytes.extend_from_slice(&encoded(request(*id, frame)));
        }
        let (mut codec, mut buffer, mut got) = (ResponderCodec::new(MAX), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(ClientMessage::Request(request)) = codec.decode(&mut buffer).unwrap() {
                got.push((request.id, request.message.0.to_vec()));
            }
        }
        prop_assert_eq!(got, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), length in any::<u8>()) {
        // Once as they are, and once with a length that lets the decoder look at them.
        let framed = [&u32::from(length).to_le_bytes()[..], &bytes].concat();
        for bytes in [&bytes, &framed] {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = ResponderCodec::new(MAX).decode(&mut buffer) {}
            prop_assert!(buffer.capacity() <= 4 * BUFFER_BYTES);
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = CallerCodec::new(MAX).decode(&mut buffer) {}
        }
    }
}
