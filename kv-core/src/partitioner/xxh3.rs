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
