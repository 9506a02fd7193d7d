//! `S-04`: scans return ranges in order, page by page, without gaps or repetitions.

use super::super::{Outcome, StorageFactory};
use super::store::Store;
use crate::storage::{Page, ScanRange};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    assert_eq!(scan(&store, ScanRange::new(b"", b""), 3, 1_000), vec![], "an empty store");

    let entries = entries();
    for (key, value) in entries.iter().rev() {
        store.put(key, value);
    }
    for (start, end) in ranges() {
        let range = ScanRange::new(&start, &end);
        let expected: Entries = entries.iter().filter(|(key, _)| range.contains(key)).cloned().collect();
        for (entries_max, bytes_max) in
            [(1, usize::MAX), (3, 100), (7, 40), (usize::MAX, 1), (10_000, 1 << 20)]
        {
            let found = scan(&store, range, entries_max, bytes_max);
            assert_eq!(found, expected, "{range:?} in pages of {entries_max} entries, {bytes_max} bytes");
        }
    }
    from_anywhere(&store, &entries);
    Outcome::Passed
}

/// Keys of different lengths, many of them prefixes of others, and values of 0 to 59 bytes.
fn entries() -> Entries {
    let key = |number: u8| match number % 3 {
        0 => vec![number],
        1 => vec![number - 1, 0],
        _ => vec![number - 2, 0xff, number],
    };
    let mut entries: Entries =
        (0..=255).map(|number| (key(number), vec![number; number as usize % 60])).collect();
    entries.sort();
    entries
}

fn ranges() -> Vec<(Vec<u8>, Vec<u8>)> {
    let bounds: [&[u8]; 8] = [b"", &[0], &[3], &[3, 0], &[3, 0, 0], &[100], &[255], &[255, 255]];
    let pairs = bounds.iter().flat_map(|start| bounds.iter().map(|end| (start.to_vec(), end.to_vec())));
    pairs.collect()
}

/// Reads the whole range in pages and checks each page's bounds.
fn scan(store: &Store, range: ScanRange<'_>, entries_max: usize, bytes_max: usize) -> Entries {
    let mut found = Entries::new();
    let mut page = Page::new(entries_max, bytes_max);
    loop {
        let after = found.last().map(|(key, _)| key.clone());
        page.clear();
        store.scan(ScanRange { after: after.as_deref(), ..range }, &mut page).expect("scan");
        let bytes = |(key, value): (&[u8], &[u8])| key.len() + value.len();
        let before_last = page.entries().len().saturating_sub(1);
        let bytes_before_last = page.entries().take(before_last).map(bytes).sum::<usize>();
        assert!(page.entries().len() <= entries_max, "more than {entries_max} entries in a page");
        assert!(before_last == 0 || bytes_before_last < bytes_max, "more than {bytes_max} bytes in a page");
        found.extend(page.entries().map(|(key, value)| (key.to_vec(), value.to_vec())));
        assert!(found.len() <= 1_000, "the scan goes on and on");
        if !page.is_full() {
            return found;
        }
    }
}

/// Going on after a key works whether or not the key is there or in the range.
fn from_anywhere(store: &Store, entries: &Entries) {
    let afters: [&[u8]; 5] = [&[0], &[3, 0], &[50, 1, 2, 3], &[99, 99], &[255, 255, 255]];
    for after in afters {
        let range = ScanRange { start: &[40], end: &[100], after: Some(after) };
        let expected: Vec<_> = entries.iter().filter(|(key, _)| range.contains(key)).collect();
        let mut page = Page::new(1_000, usize::MAX);
        store.scan(range, &mut page).expect("scan");
        let found: Vec<_> = page.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{range:?}");
    }
}
