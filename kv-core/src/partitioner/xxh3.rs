use crate::ids::Token;
use crate::partitioner::Partitioner;

/// Hashes keys with XXH3 (64 bits, no seed), whose output is frozen across versions and platforms.
#[derive(Debug, Clone, Copy, Default)]
pub struct Xxh3Partitioner;

impl Partitioner for Xxh3Partitioner {
    fn name(&self) -> String {
        "xxh3".into()
    }

    fn token(&self, key: &[u8]) -> Token {
        Token(xxhash_rust::xxh3::xxh3_64(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_first_release() {
        let golden: [(&[u8], u64); 6] =
            [(b"\0", 0), (b"a", 0), (b"key", 0), (b"user/1", 0), (b"user/2", 0), (b"0123456789abcdef0", 0)];
        for (key, token) in golden {
            assert_eq!(Xxh3Partitioner.token(key), Token(token), "{}", key.escape_ascii());
        }
        assert_eq!(Xxh3Partitioner.token(&[0xab; 1_024]), Token(0));
    }
}
