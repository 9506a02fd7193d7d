use super::*;
use crate::ids::Incarnation;
use crate::record::Record;

fn sample() -> (Key, Cell) {
    let key = Key::try_from("k").unwrap();
    let actor = Actor { incarnation: Incarnation(5), birth: 2 };
    let mut mark = RecoveringMark::new(7);
    mark.merged_with(NodeId(3), true);
    mark.merged_with(NodeId(2), false);
    let record = EncodedRecord::encode(&Record::new(), BucketId(1), &key);
    (
        key,
        Cell {
            own: Some(OwnActor { actor, counter: 9 }),
            recovering: Some(mark),
            sinces: Sinces::from_entries(vec![Epoch(3), Epoch::NONE]),
            names: PastNames::from_entries(vec![(
                [Dot { actor, counter: 1 }].into_iter().collect(),
                Epoch(2),
            )]),
            record,
        },
    )
}

#[test]
fn cells_round_trip_under_their_own_key_only() {
    let (key, cell) = sample();
    let bytes = cell.encode(b"storage key");
    assert_eq!(CellView::decode(&bytes, b"storage key", BucketId(1), &key).unwrap().to_cell(), cell);
    assert_eq!(CellView::decode(&bytes, b"another", BucketId(1), &key), Err(CellError::Checksum));
}

#[test]
fn every_flipped_bit_is_found() {
    let (key, cell) = sample();
    let bytes = cell.encode(b"storage key");
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(CellView::decode(&bytes, b"storage key", BucketId(1), &key).is_err(), "bit {bit}");
    }
}

#[test]
fn every_cut_is_found() {
    let (key, cell) = sample();
    let bytes = cell.encode(b"storage key");
    for length in 0..bytes.len() {
        assert!(CellView::decode(&bytes[..length], b"storage key", BucketId(1), &key).is_err());
    }
}

#[test]
fn a_mark_is_over_after_all_others_or_enough_complete_ones() {
    let owners = [1, 2, 3].map(NodeId);
    let over = |merged: &[(u64, bool)], w: usize| {
        let mut mark = RecoveringMark::new(7);
        for (node, complete) in merged {
            mark.merged_with(NodeId(*node), *complete);
        }
        mark.is_over(NodeId(1), &owners, w)
    };
    assert!(!over(&[], 2));
    assert!(!over(&[(2, true)], 2), "W=2: an acknowledged write may be on 1 and 3 only");
    assert!(over(&[(2, true), (3, false)], 2), "all others");
    assert!(over(&[(2, true)], 3), "W=3: every other one holds it");
    assert!(!over(&[(2, false)], 3), "one that is recovering itself proves nothing");
    assert!(!over(&[(2, true)], 1));
}
