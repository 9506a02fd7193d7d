use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::limits::KEY_BYTES_MAX;
use crate::partitioner::Partitioner;
use crate::testing::report::CaseOutcome;

/// Keys of all lengths up to 64 and some above, random and with common beginnings.
fn sample() -> Vec<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut keys = Vec::new();
    for length in (1..=64).chain([100, 255, 256, 257, 1_000, KEY_BYTES_MAX]) {
        keys.push((0..length).map(|_| random.random()).collect());
        keys.push(vec![b'a'; length]);
    }
    keys.extend((0..500).map(|number| format!("user/{number}").into_bytes()));
    keys
}

pub(super) fn always_the_same(make: &dyn Fn() -> Box<dyn Partitioner>) -> Result<(), String> {
    let (first, second) = (make(), make());
    if first.name() != second.name() {
        return Err(format!("two instances are called {} and {}", first.name(), second.name()));
    }
    let keys = sample();
    let tokens: Vec<_> = keys.iter().map(|key| first.token(key)).collect();
    for (key, token) in keys.iter().zip(tokens).rev() {
        for (who, again) in [("the same", first.token(key)), ("another", second.token(key))] {
            if again != token {
                return Err(format!("{}: {token:?}, then {again:?} of {who} instance", key.escape_ascii()));
            }
        }
    }
    Ok(())
}

pub(super) fn every_byte(partitioner: &dyn Partitioner) -> Result<(), String> {
    for key in sample() {
        let token = partitioner.token(&key);
        for offset in 0..8 {
            let elsewhere = [&vec![0x5a; offset][..], &key, &[0xa5]].concat();
            let moved = elsewhere.get(offset..offset + key.len()).unwrap_or_default();
            if partitioner.token(moved) != token {
                return Err(format!("{}: differs with the place in memory", key.escape_ascii()));
            }
        }
        if !partitioner.is_uniform() {
            continue;
        }
        for place in 0..key.len() {
            let mut other = key.clone();
            if let Some(byte) = other.get_mut(place) {
                *byte ^= 1;
            }
            if partitioner.token(&other) == token {
                return Err(format!("{}: byte {place} of {} does not count", key.escape_ascii(), key.len()));
            }
        }
        if key.len() < KEY_BYTES_MAX && partitioner.token(&[&key[..], b"\0"].concat()) == token {
            return Err(format!("{}: a zero byte at the end does not count", key.escape_ascii()));
        }
    }
    Ok(())
}

pub(super) fn every_length(partitioner: &dyn Partitioner) -> Result<(), String> {
    for length in 1..=KEY_BYTES_MAX {
        for byte in [0, b'a', 0xff] {
            partitioner.token(&vec![byte; length]);
        }
    }
    Ok(())
}

/// The key of a number.
type KeyOf = fn(u64) -> Vec<u8>;

pub(super) fn uniform(partitioner: &dyn Partitioner) -> CaseOutcome {
    const KEYS: u64 = 1 << 14;
    const BUCKETS: usize = 256;
    // Chi-squared with 255 degrees of freedom has mean 255 and deviation 22.6; a sound hash is past it once in 10^8 times.
    const CHI_SQUARED_MAX: f64 = 400.0;
    if !partitioner.is_uniform() {
        return CaseOutcome::NotApplicable("does not claim to be uniform".into());
    }
    let families: [(&str, KeyOf); 4] = [
        ("decimal numbers", |number| format!("user:{number}").into_bytes()),
        ("big-endian numbers", |number| number.to_be_bytes().to_vec()),
        ("little-endian numbers", |number| number.to_le_bytes().to_vec()),
        ("numbers before a common end", |number| {
            format!("{number:020}/a/rather/long/common/end").into_bytes()
        }),
    ];
    for (family, key) in families {
        let mut buckets = [0u32; BUCKETS];
        for number in 0..KEYS {
            let token = partitioner.token(&key(number)).0;
            if let Some(count) = buckets.get_mut((token >> 56) as usize) {
                *count += 1;
            }
        }
        let expected = KEYS as f64 / BUCKETS as f64;
        let squares = buckets.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected);
        let chi_squared: f64 = squares.sum();
        if chi_squared > CHI_SQUARED_MAX {
            return CaseOutcome::Failed(format!(
                "{family}: chi-squared is {chi_squared:.0} over 256 partitions"
            ));
        }
    }
    CaseOutcome::Passed
}

pub(super) fn ordered(partitioner: &dyn Partitioner) -> CaseOutcome {
    if !partitioner.is_ordered() {
        return CaseOutcome::NotApplicable("does not claim to be ordered".into());
    }
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut keys = sample();
    for _ in 0..2_000 {
        // Edges of bytes and beginnings of other keys are where an order goes wrong.
        let length = random.random_range(1..12);
        let letters = [0, 1, b'a', b'b', 0x7f, 0x80, 0xfe, 0xff];
        let letter = |random: &mut ChaCha8Rng| letters.get(random.random_range(0..8)).copied().unwrap_or(0);
        keys.push((0..length).map(|_| letter(&mut random)).collect());
    }
    keys.sort();
    for pair in keys.windows(2) {
        if let [low, high] = pair
            && partitioner.token(low) > partitioner.token(high)
        {
            let (low, high) = (low.escape_ascii(), high.escape_ascii());
            return CaseOutcome::Failed(format!("{low} has a larger token than {high}"));
        }
    }
    CaseOutcome::Passed
}
