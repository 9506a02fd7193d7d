use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::samples;
use crate::wire::{Answer, Request, decode_answer, decode_request, encode_answer, encode_request};

/// Every message by name, one a line, in hexadecimal.
const GOLDEN: &str = include_str!("golden_v1.txt");

fn frames() -> Vec<(String, Vec<u8>)> {
    let header = samples::header();
    let requests = samples::requests()
        .into_iter()
        .map(|(name, body)| (name, encode_request(&Request { header, body }).to_vec()));
    let answers = samples::answers()
        .into_iter()
        .map(|(name, body)| (name, encode_answer(&Answer { header, body }).to_vec()));
    requests.chain(answers).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = (0..text.len()).step_by(2);
    digits.map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

fn golden() -> Vec<(&'static str, &'static str)> {
    GOLDEN.lines().map(|line| line.split_once(": ").unwrap()).collect()
}

#[test]
fn the_format_is_frozen() {
    let written: String = frames().iter().map(|(name, bytes)| format!("{name}: {}\n", hex(bytes))).collect();
    if std::env::var_os("KV_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/frame/tests/golden_v1.txt");
        std::fs::write(path, &written).unwrap();
        return;
    }
    let differing: Vec<&str> =
        written.lines().filter(|line| !GOLDEN.lines().any(|old| old == *line)).collect();
    assert!(differing.is_empty(), "these frames are new or changed:\n{}", differing.join("\n"));
    assert_eq!(written.lines().count(), GOLDEN.lines().count(), "a frame went away");
}

#[test]
fn frames_of_the_first_release_are_understood() {
    let header = samples::header();
    let mut requests = samples::requests().into_iter();
    let mut answers = samples::answers().into_iter();
    for (name, text) in golden() {
        let bytes = unhex(text);
        if name.starts_with("request") {
            let (expected, body) = requests.next().unwrap();
            assert_eq!((name, decode_request(&bytes)), (&*expected, Ok(Request { header, body })));
        } else {
            let (expected, body) = answers.next().unwrap();
            assert_eq!((name, decode_answer(&bytes)), (&*expected, Ok(Answer { header, body })));
        }
    }
    assert!(requests.next().is_none() && answers.next().is_none());
}

#[test]
fn every_variant_has_its_golden_frame() {
    let groups: [(&str, &[&str]); 15] = [
        ("request ", samples::REQUESTS),
        ("answer ", samples::ANSWERS),
        ("request put replace ", samples::REPLACES),
        ("request put content ", samples::contents::CONTENTS),
        ("request put expires ", samples::contents::EXPIRES),
        ("request put attempt ", samples::contents::ATTEMPTS),
        ("request get quorum ", samples::QUORUMS),
        ("request put mode ", samples::MODES),
        ("request change_bucket durability ", samples::DURABILITIES),
        ("request change_bucket ", samples::CHANGES),
        ("answer read ", samples::READ_ANSWERS),
        ("answer write ", samples::WRITE_ANSWERS),
        ("answer put ", samples::PUT_RESULTS),
        ("answer get state ", samples::STATES),
        ("answer get decision ", samples::DECISIONS),
    ];
    let names: BTreeSet<&str> = golden().into_iter().map(|(name, _)| name).collect();
    for (group, variants) in groups {
        for variant in variants {
            assert!(names.contains(&*format!("{group}{variant}")), "no golden frame for {group}{variant}");
        }
    }
}
