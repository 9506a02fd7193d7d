use proptest::prelude::*;

use super::*;
use crate::causality::Actor;
use crate::ids::Incarnation;
use crate::resolver::KeepSiblings;

fn key(text: &str) -> Key {
    Key::try_from(text).unwrap()
}

fn dot(birth: u64, counter: u64) -> Dot {
    Dot { actor: Actor { incarnation: Incarnation(0x0102_0304_0506_0708), birth }, counter }
}

fn sample() -> Record {
    let mut record = Record::new();
    for (birth, value) in [(1, Some("one")), (2, None)] {
        let version = Version {
            dot: dot(birth, 1),
            past: [dot(7, 1), dot(7, 2), dot(7, 9)].into_iter().collect(),
            stamp: Stamp::from_millis(1_000 + birth),
            expiry: (birth == 1).then_some(Expiry { at_ms: 5_000, stamp: Stamp(70_000_000) }),
            id: (birth == 2).then_some(WriteId([9; 16])),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        record.add(version, &KeepSiblings);
    }
    record
}

#[test]
fn the_format_is_frozen() {
    let bytes = EncodedRecord::encode(&sample(), BucketId(1), &key("k")).into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden_v1.hex").trim());
}

#[test]
fn every_flipped_bit_is_found() {
    let encoded = EncodedRecord::encode(&sample(), BucketId(1), &key("k"));
    for bit in 0..encoded.len() * 8 {
        let mut bytes = encoded.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(EncodedRecord::check(bytes.into(), BucketId(1), &key("k")).is_err(), "bit {bit}");
    }
}

#[test]
fn a_record_under_another_key_or_bucket_is_refused() {
    let bytes = EncodedRecord::encode(&sample(), BucketId(1), &key("k")).into_bytes();
    for (bucket, name) in [(1, "j"), (1, "kk"), (2, "k")] {
        let error = EncodedRecord::check(bytes.clone(), BucketId(bucket), &key(name)).unwrap_err();
        assert_eq!(error, RecordError::Checksum);
    }
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = EncodedRecord::encode(&sample(), BucketId(1), &key("k")).as_bytes().to_vec();
    bytes[0] = 2;
    assert_eq!(EncodedRecord::check(bytes.into(), BucketId(1), &key("k")), Err(RecordError::Format(2)));
}

#[test]
fn records_round_trip() {
    for record in [Record::new(), sample()] {
        let encoded = EncodedRecord::encode(&record, BucketId(1), &key("k"));
        let checked = EncodedRecord::check(encoded.to_bytes(), BucketId(1), &key("k")).unwrap();
        assert_eq!(checked.decode().unwrap(), record);
    }
}

proptest! {
    #[test]
    fn content_that_a_checksum_vouches_for_may_still_be_rubbish(content in proptest::collection::vec(any::<u8>(), 0..120)) {
        let digest = checksum(BucketId(1), &key("k"), &content);
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&digest.to_le_bytes());
        bytes.extend_from_slice(&content);
        let encoded = EncodedRecord::check(bytes.clone().into(), BucketId(1), &key("k")).unwrap();
        if let Ok(record) = encoded.decode() {
            let again = EncodedRecord::encode(&record, BucketId(1), &key("k"));
            prop_assert_eq!(again.as_bytes(), &bytes[..]);
        }
    }
}
