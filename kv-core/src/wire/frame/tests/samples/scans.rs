use bytes::Bytes;

use crate::bucket::Quorum;
use crate::command::{GetAnswer, Scan, ScanAnswer, ScanEntry, ScanPosition};
use crate::ids::{BucketId, Token};
use crate::wire::frame::tests::samples::{get_answer, key};
use crate::wire::{RangeEntry, RangeItem, RangePage, RangeState};

pub(super) fn range_item() -> RangeItem {
    RangeItem {
        bucket: BucketId(2),
        repairs: true,
        from: position(),
        last: Token(u64::MAX),
        prefix: Bytes::from_static(b"pre"),
        entries_max: 100,
        records: true,
    }
}

pub(super) fn scan() -> Scan {
    let scan = Scan::new("default").with_prefix("pre").with_values().starting_at(position());
    Scan { last: Token(1 << 63 | 7), limit: 300, r: Some(Quorum::Count(2)), timeout_ms: Some(250), ..scan }
}

fn position() -> ScanPosition {
    ScanPosition { token: Token(1 << 63), after: Some(key("after")) }
}

/// One entry of every state.
pub(super) fn range_page() -> RangePage {
    let states = [
        RangeState::Digest(17, u64::MAX),
        RangeState::Record(Bytes::from_static(b"record")),
        RangeState::Unsure,
    ];
    let entries = states.map(|state| RangeEntry { token: Token(300), key: key("k"), state });
    RangePage { entries: entries.to_vec(), next: Some(position()) }
}

pub(super) fn scan_answer() -> ScanAnswer {
    let GetAnswer { values, context, .. } = get_answer(None);
    ScanAnswer { entries: vec![ScanEntry { key: key("k"), values, context }], next: None }
}
