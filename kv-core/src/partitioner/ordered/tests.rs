use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few letters and shared beginnings make neighbours, the edges of bytes included.
    prop_oneof![
        vec(prop_oneof![Just(0u8), Just(b'a'), Just(b'b'), Just(0xff)], 1..14),
        vec(any::<u8>(), 1..24),
        vec(any::<u8>(), 1..4).prop_map(|end| [b"tenant/0007/user/", &end[..]].concat()),
    ]
}

fn partitioner() -> impl Strategy<Value = OrderedPartitioner> {
    proptest::collection::btree_set(key(), 0..12).prop_map(|splits| OrderedPartitioner::new(splits).unwrap())
}

proptest! {
    #[test]
    fn tokens_follow_the_order_of_keys(partitioner in partitioner(), mut keys in vec(key(), 2..40)) {
        keys.sort();
        for pair in keys.windows(2) {
            prop_assert!(partitioner.token(&pair[0]) <= partitioner.token(&pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_split_point_has_the_first_token_of_its_slice(splits in proptest::collection::btree_set(key(), 0..12)) {
        let partitioner = OrderedPartitioner::new(&splits).unwrap();
        let slices = splits.len() as u128 + 1;
        for (index, split) in splits.iter().enumerate() {
            let first = (((index as u128 + 1) << 64) / slices) as u64;
            prop_assert_eq!(partitioner.token(split), Token(first));
        }
    }

    #[test]
    fn the_same_split_points_make_the_same_partitioner(
        splits in proptest::collection::btree_set(key(), 0..12),
        key in key(),
    ) {
        let partitioner = OrderedPartitioner::new(&splits).unwrap();
        let again = OrderedPartitioner::new(&splits).unwrap();
        prop_assert_eq!(again.name(), partitioner.name());
        prop_assert_eq!(again.token(&key), partitioner.token(&key));
    }
}

#[test]
fn keys_with_a_common_beginning_are_spread_inside_their_slice() {
    let keys: Vec<String> = (0..4_096).map(|number| format!("tenant/0007/user/{number:08}")).collect();
    let partitioner = OrderedPartitioner::from_sample(&keys, 16).unwrap();
    let mut tokens: Vec<Token> = keys.iter().map(|key| partitioner.token(key.as_bytes())).collect();
    assert!(tokens.is_sorted());
    tokens.dedup();
    assert!(tokens.len() > 4_000, "only {} tokens", tokens.len());
    let mut per_slice = [0usize; 16];
    for key in &keys {
        per_slice[(partitioner.token(key.as_bytes()).0 >> 60) as usize] += 1;
    }
    assert_eq!(per_slice, [256; 16]);
}

#[test]
fn tokens_are_those_of_the_first_release() {
    let partitioner = OrderedPartitioner::new([&b"g"[..], b"user/1", b"user/2"]).unwrap();
    let golden: [(&[u8], u64); 8] = [
        (b"\0", 0x0000000000000000),
        (b"apple", 0x3c8b751420ee9a18),
        (b"g", 0x4000000000000000),
        (b"user/1", 0x8000000000000000),
        (b"user/1/x", 0x8bde000000000000),
        (b"user/2", 0xc000000000000000),
        (b"user/2/x", 0xc00ce774d0c6d5bf),
        (b"zzz", 0xf84a514c406b1cf9),
    ];
    for (key, token) in golden {
        assert_eq!(partitioner.token(key), Token(token), "{}", key.escape_ascii());
    }
    assert_eq!(partitioner.name(), "ordered:bcae036b65563417");
}

#[test]
fn without_split_points_the_first_8_bytes_are_the_token() {
    let partitioner = OrderedPartitioner::new::<&[u8]>([]).unwrap();
    assert_eq!(partitioner.token(b"abcdefgh"), Token(u64::from_be_bytes(*b"abcdefgh")));
    assert_eq!(partitioner.token(&[0xff; 1_024]), Token(u64::MAX));
}

#[test]
fn split_points_out_of_order_or_out_of_bounds_are_refused() {
    let long = [b'x'; 1_025];
    for splits in [&[&b"b"[..], b"a"][..], &[b"a", b"a"], &[b""], &[&long]] {
        let error = OrderedPartitioner::new(splits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{splits:?}");
    }
    assert!(OrderedPartitioner::from_sample([b"a"], 0).is_err());
}

#[test]
fn another_split_point_makes_another_name() {
    let names = [&[&b"a"[..]][..], &[b"b"], &[b"a", b"b"], &[b"ab"], &[]]
        .map(|splits| OrderedPartitioner::new(splits).unwrap().name());
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{name} twice");
    }
}
