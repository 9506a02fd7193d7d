use proptest::prelude::*;

use super::samples;
use crate::codec::LIST_ITEMS_MAX;
use crate::error::ErrorKind;
use crate::wire::{
    Answer, AnswerBody, ReadAnswer, Request, RequestBody, WriteAnswer, decode_answer, decode_request,
    encode_answer, encode_request,
};

fn request_frames() -> Vec<Vec<u8>> {
    let header = samples::header();
    let frame = |body| encode_request(&Request { header, body }).to_vec();
    samples::requests().into_iter().map(|(_, body)| frame(body)).collect()
}

fn answer_frames() -> Vec<Vec<u8>> {
    let header = samples::header();
    let frame = |body| encode_answer(&Answer { header, body }).to_vec();
    samples::answers().into_iter().map(|(_, body)| frame(body)).collect()
}

/// What decodes, whatever it came from, is a message like any other.
fn is_harmless(frame: &[u8]) {
    if let Ok(request) = decode_request(frame) {
        assert_eq!(decode_request(&encode_request(&request)), Ok(request));
    }
    if let Ok(answer) = decode_answer(frame) {
        assert_eq!(decode_answer(&encode_answer(&answer)), Ok(answer));
    }
}

fn request_error(frame: &[u8]) -> ErrorKind {
    decode_request(frame).unwrap_err().kind()
}

fn answer_error(frame: &[u8]) -> ErrorKind {
    decode_answer(frame).unwrap_err().kind()
}

#[test]
fn every_cut_is_found() {
    for frame in request_frames() {
        for length in 0..frame.len() {
            assert_eq!(request_error(&frame[..length]), ErrorKind::InvalidFrame);
        }
    }
    for frame in answer_frames() {
        for length in 0..frame.len() {
            assert_eq!(answer_error(&frame[..length]), ErrorKind::InvalidFrame);
        }
    }
}

#[test]
fn bytes_that_follow_the_message_are_found() {
    for byte in [0, 1, 0xff] {
        for frame in request_frames() {
            assert_eq!(request_error(&[&frame[..], &[byte]].concat()), ErrorKind::InvalidFrame);
        }
        for frame in answer_frames() {
            assert_eq!(answer_error(&[&frame[..], &[byte]].concat()), ErrorKind::InvalidFrame);
        }
    }
}

#[test]
fn another_format_is_told_from_rubbish() {
    for format in [0, 2, 0xff] {
        let named = |error: crate::error::Error| {
            assert_eq!(error.kind(), ErrorKind::IncompatibleFormat);
            assert!(error.message().contains(&format!("format {format} ")), "{error}");
        };
        named(decode_request(&[format]).unwrap_err());
        named(decode_answer(&[format, 1, 2, 3]).unwrap_err());
        let mut frame = request_frames().swap_remove(0);
        frame[0] = format;
        named(decode_request(&frame).unwrap_err());
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_another_message() {
    // Frames have no checksum of their own: the transport's connection has one, and records bring theirs.
    for mut frame in request_frames().into_iter().chain(answer_frames()) {
        for bit in 0..frame.len() * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            is_harmless(&frame);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn numbers_at_the_end_of_their_range_are_harmless_anywhere() {
    let huge: [&[u8]; 4] = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff; 11],
    ];
    for frame in request_frames().into_iter().chain(answer_frames()) {
        for place in 1..frame.len() {
            for number in huge {
                is_harmless(&[&frame[..place], number, &frame[place + 1..]].concat());
            }
        }
    }
}

#[test]
fn an_empty_key_and_one_that_is_too_long_do_not_travel() {
    let header = samples::header();
    for length in [0usize, 1_025] {
        // A get: bucket `b`, the key, no options.
        let mut frame = encode_request(&Request { header, body: RequestBody::Cluster }).to_vec();
        *frame.last_mut().unwrap() = 5;
        frame.extend([1, b'b']);
        crate::codec::put_varint(&mut frame, length as u64);
        frame.extend(std::iter::repeat_n(b'k', length));
        frame.extend([0, 0, 0]);
        assert_eq!(request_error(&frame), ErrorKind::InvalidFrame, "{length}");
    }
}

#[test]
fn a_list_has_an_end() {
    let header = samples::header();
    let answers = |count| vec![ReadAnswer::Absent(crate::ids::Epoch::NONE); count];
    let frame = |count| encode_answer(&Answer { header, body: AnswerBody::Read(answers(count)) });
    assert!(decode_answer(&frame(LIST_ITEMS_MAX)).is_ok());
    assert_eq!(answer_error(&frame(LIST_ITEMS_MAX + 1)), ErrorKind::InvalidFrame);
}

#[test]
fn an_error_kind_that_this_build_does_not_know_is_refused() {
    let header = samples::header();
    let body = AnswerBody::Write(vec![WriteAnswer::Refused(ErrorKind::InvalidKey)]);
    let mut frame = encode_answer(&Answer { header, body }).to_vec();
    *frame.last_mut().unwrap() = 34;
    assert_eq!(answer_error(&frame), ErrorKind::InvalidFrame);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_harmless(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), format: bool) {
        if format && let Some(first) = bytes.first_mut() {
            *first = super::super::FORMAT;
        }
        is_harmless(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_header_are_harmless(
        variant in 0u8..16,
        bytes in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..300),
    ) {
        let header = samples::header();
        let body = RequestBody::Cluster;
        let mut frame = encode_request(&Request { header, body }).to_vec();
        *frame.last_mut().unwrap() = variant;
        frame.extend(bytes);
        is_harmless(&frame);
    }
}
