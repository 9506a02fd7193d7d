//! `S-06`: `get_many` visits every key in the order given, with values of one state.

use super::super::{Outcome, StorageFactory};
use super::race::race;
use super::store::Store;

pub(super) fn check(factory: &dyn StorageFactory) -> Outcome {
    let store = Store::fresh(factory);
    let longest = vec![b'z'; store.capabilities().key_bytes_max];
    store.write(|batch| {
        batch.put(b"a", &[b"value of a"]);
        batch.put(b"b", &[]);
        batch.put(&longest, &[b"value of the longest"]);
    });
    let keys: [&[u8]; 7] = [b"b", b"absent", b"a", b"b", &longest, b"aa", b"a"];
    let mut visited = Vec::new();
    store
        .get_many(&keys, &mut |index, value| visited.push((index, value.map(<[u8]>::to_vec))))
        .expect("get_many");
    let expected: Vec<_> = keys.iter().map(|key| store.value(key)).enumerate().collect();
    assert_eq!(visited, expected, "once for each key, in order");

    let mut calls = 0;
    store.get_many(&[], &mut |_, _| calls += 1).expect("get_many of nothing");
    assert_eq!(calls, 0, "calls for no key");

    one_state(&Store::fresh(factory));
    Outcome::Passed
}

/// While every batch puts one value under all keys, `get_many` never sees two.
fn one_state(store: &Store) {
    let keys: Vec<[u8; 2]> = (0..8_u16).map(|number| (number * 7_919).to_be_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let put_all = |number: u64| {
        store.write(|batch| keys.iter().for_each(|key| batch.put(key, &[&number.to_be_bytes()])));
    };
    put_all(0);
    race(&mut |number| put_all(number), &|| {
        let mut values = Vec::new();
        store
            .get_many(&keys, &mut |_, value| values.push(value.map(<[u8]>::to_vec)))
            .expect("get_many beside a writer");
        let first = values.first().expect("a value for each key");
        assert!(values.iter().all(|value| value == first), "values of two states: {values:?}");
    });
}
