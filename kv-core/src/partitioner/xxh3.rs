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
        let golden: [(&[u8], u64); 6] = [
            (b"\0", 0xc44bdff4074eecdb),
            (b"a", 0xe6c632b61e964e1f),
            (b"key", 0xbbea0d63a05165e3),
            (b"user/1", 0xa41097b8118ede3d),
            (b"user/2", 0x0a95ed3e5d098374),
            (b"0123456789abcdef0", 0xc92e2385daf36034),
        ];
        for (key, token) in golden {
            assert_eq!(Xxh3Partitioner.token(key), Token(token), "{}", key.escape_ascii());
        }
        assert_eq!(Xxh3Partitioner.token(&[0xab; 1_024]), Token(0xd1631020c67212ab));
    }
}
