//! Pages of one replica, over stores in which keys share tokens and most keys may be deleted.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv_core::causality::{Actor, Dot, DotSet, Stamp};
use kv_core::command::ScanPosition;
use kv_core::error::ErrorKind;
use kv_core::ids::{Incarnation, Token};
use kv_core::key::{Key, StorageKey};
use kv_core::record::{Cell, EncodedRecord, PastNames, Record, Sinces, Version};
use kv_core::replica::{Epochs, read_range};
use kv_core::resolver::KeepSiblings;
use kv_core::storage::{Batch, Durability, MemoryStorage, Storage};
use kv_core::view::View;
use kv_core::wire::{RangeAnswer, RangeItem, RangePage, RangeState};
use proptest::prelude::*;

use crate::cluster::Cluster;

fn view() -> View {
    let mut cluster = Cluster::new(1);
    let node = cluster.nodes.pop_first().unwrap().1;
    node.view
}

/// A store with these keys at these tokens; of those that are not live, only a tombstone.
fn store(view: &View, keys: &BTreeSet<(Token, Key)>, is_live: impl Fn(&Key) -> bool) -> MemoryStorage {
    let (store, mut batch) = (MemoryStorage::new(), Batch::new());
    let bucket = view.bucket("default").unwrap().id;
    for (token, key) in keys {
        let mut record = Record::new();
        let version = Version {
            dot: Dot { actor: Actor { incarnation: Incarnation(1), birth: 1 }, counter: 1 },
            past: DotSet::default(),
            stamp: Stamp(1),
            expiry: None,
            id: None,
            value: is_live(key).then(|| Bytes::from_static(b"value")),
        };
        record.add(version, &KeepSiblings);
        let record = EncodedRecord::encode(&record, bucket, key);
        let storage_key = StorageKey::new(bucket, *token, key.as_bytes());
        let cell = Cell {
            own: None,
            recovering: None,
            sinces: Sinces::default(),
            names: PastNames::default(),
            record,
        }
        .encode(storage_key.as_bytes());
        batch.put(storage_key.as_bytes(), &[&cell]);
    }
    store.write(&batch, Durability::Buffered).unwrap();
    store
}

fn page(view: &View, store: &MemoryStorage, item: &RangeItem) -> RangePage {
    match read_range(view, store, &Epochs::default(), item) {
        RangeAnswer::Page(page) => page,
        RangeAnswer::Refused(kind) => panic!("refused: {}", kind.name()),
    }
}

fn item(view: &View) -> RangeItem {
    RangeItem {
        bucket: view.bucket("default").unwrap().id,
        repairs: false,
        from: ScanPosition::default(),
        last: Token(u64::MAX),
        prefix: Bytes::new(),
        entries_max: 1,
        records: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pages_have_every_key_once_in_order_and_end_where_they_say(
        keys in proptest::collection::btree_set((0_u64..6, "[ab]{1,4}"), 0..60),
        live in 1_usize..5,
        wanted in 1_u32..20,
        prefix in "[ab]{0,1}",
        records: bool,
        last in 0_u64..7,
    ) {
        let view = view();
        let keys: BTreeSet<(Token, Key)> =
            keys.into_iter().map(|(token, key)| (Token(token), Key::try_from(&*key).unwrap())).collect();
        let is_live = |key: &Key| key.as_bytes().len().is_multiple_of(live);
        let store = store(&view, &keys, is_live);
        let mut item = RangeItem {
            last: Token(last),
            prefix: prefix.clone().into(),
            entries_max: wanted,
            records,
            ..item(&view)
        };
        let mut found = Vec::new();
        loop {
            let page = page(&view, &store, &item);
            let mut alive = 0;
            for entry in &page.entries {
                prop_assert!(!item.from.is_behind(entry.token, &entry.key), "before the page");
                prop_assert!(page.next.as_ref().is_none_or(|next| next.is_behind(entry.token, &entry.key)));
                let is_fitting = match &entry.state {
                    RangeState::Digest(_, until_ms) => (*until_ms > 0) == is_live(&entry.key) && !(records && *until_ms > 0),
                    RangeState::Record(_) => records && is_live(&entry.key),
                    RangeState::Unsure => false,
                };
                prop_assert!(is_fitting, "{:?}", entry);
                alive += u32::from(is_live(&entry.key));
            }
            prop_assert!(alive <= wanted);
            prop_assert!(page.next.is_none() || alive == wanted, "a page that could have more");
            found.extend(page.entries.into_iter().map(|entry| (entry.token, entry.key)));
            let Some(next) = page.next else { break };
            prop_assert!(next > item.from);
            item.from = next;
        }
        let expected: Vec<_> = keys
            .into_iter()
            .filter(|(token, key)| token.0 <= last && key.as_bytes().starts_with(prefix.as_bytes()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_page_looks_at_so_many_keys_and_not_at_more() {
    let view = view();
    let keys: BTreeSet<(Token, Key)> = (0..10_000_u64)
        .map(|number| (Token(number / 3), Key::try_from(&*format!("{number:05}")).unwrap()))
        .collect();
    let store = store(&view, &keys, |key| key.as_bytes() == b"09000");
    let mut item = item(&view);
    let mut pages = 0;
    let (mut seen, mut live) = (0, Vec::new());
    loop {
        let page = page(&view, &store, &item);
        pages += 1;
        assert!(page.entries.len() < 4_000);
        seen += page.entries.len();
        let alive =
            page.entries.into_iter().filter(|entry| matches!(entry.state, RangeState::Digest(_, u64::MAX)));
        live.extend(alive.map(|entry| entry.key));
        let Some(next) = page.next else { break };
        item.from = next;
    }
    assert_eq!((seen, pages), (10_000, 4), "3,999 twice, up to the live key, and what is behind it");
    assert_eq!(live, [Key::try_from("09000").unwrap()]);
}

#[test]
fn a_store_with_strange_keys_is_not_trusted() {
    let view = view();
    let store = MemoryStorage::new();
    let mut batch = Batch::new();
    let bucket = view.bucket("default").unwrap().id;
    batch.put(&[&bucket.0.to_be_bytes()[..], b"short"].concat(), &[b"?"]);
    store.write(&batch, Durability::Buffered).unwrap();
    assert_eq!(
        read_range(&view, &store, &Epochs::default(), &item(&view)),
        RangeAnswer::Refused(ErrorKind::Damaged)
    );
}
