use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::ids::{PartitionId, Token};

/// The cut of the hash space into Q equal partitions, Q a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Partitioning {
    bits: u8,
}

impl Partitioning {
    /// Partitions of a cluster that asks for nothing else.
    pub const COUNT_DEFAULT: u32 = 1_024;
    /// Most partitions of a cluster.
    pub const COUNT_MAX: u32 = 1 << 16;

    /// Cuts the hash space into `count` partitions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidLayout`] unless `count` is a power of two from 1 to 65,536.
    pub fn new(count: u32) -> Result<Self, Error> {
        if !count.is_power_of_two() || count > Self::COUNT_MAX {
            return Err(Error::new(
                ErrorKind::InvalidLayout,
                format!(
                    "the number of partitions must be a power of two up to {}, not {count}",
                    Self::COUNT_MAX
                ),
            ));
        }
        Ok(Partitioning { bits: count.trailing_zeros() as u8 })
    }

    /// Number of partitions.
    pub fn count(self) -> u32 {
        1 << self.bits
    }

    /// The partition in which `token` lies.
    pub fn partition(self, token: Token) -> PartitionId {
        PartitionId(if self.bits == 0 { 0 } else { (token.0 >> (64 - self.bits)) as u32 })
    }

    /// The first token of `partition`.
    pub fn first_token(self, partition: PartitionId) -> Token {
        Token(if self.bits == 0 { 0 } else { u64::from(partition.0) << (64 - self.bits) })
    }
}

impl TryFrom<u32> for Partitioning {
    type Error = Error;

    fn try_from(count: u32) -> Result<Self, Error> {
        Partitioning::new(count)
    }
}

impl From<Partitioning> for u32 {
    fn from(partitioning: Partitioning) -> u32 {
        partitioning.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_cover_the_hash_space_in_order() {
        for count in [1, 2, 1_024] {
            let partitioning = Partitioning::new(count).unwrap();
            for index in 0..count {
                let first = partitioning.first_token(PartitionId(index));
                assert_eq!(partitioning.partition(first), PartitionId(index));
                if index > 0 {
                    assert_eq!(partitioning.partition(Token(first.0 - 1)), PartitionId(index - 1));
                }
            }
            assert_eq!(partitioning.partition(Token(u64::MAX)), PartitionId(count - 1));
        }
    }

    #[test]
    fn only_powers_of_two_are_accepted() {
        for count in [0, 3, 1_000, 1 << 17] {
            assert_eq!(Partitioning::new(count).unwrap_err().kind(), ErrorKind::InvalidLayout);
        }
    }
}
