use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many replicas have to answer. Written as `one`, `quorum`, `all` or a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// A single replica.
    One,
    /// More than half of the replicas.
    #[default]
    Majority,
    /// Every replica.
    All,
    /// That many, at least 1; never more than there are replicas.
    Count(u8),
}

impl Quorum {
    /// The number of answers needed of `owners` replicas.
    pub fn needed(self, owners: usize) -> usize {
        match self {
            Quorum::One => 1,
            Quorum::Majority => owners / 2 + 1,
            Quorum::All => owners,
            Quorum::Count(count) => usize::from(count).min(owners),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quorum::One => f.write_str("one"),
            Quorum::Majority => f.write_str("quorum"),
            Quorum::All => f.write_str("all"),
            Quorum::Count(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for Quorum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "one" => Ok(Quorum::One),
            "quorum" => Ok(Quorum::Majority),
            "all" => Ok(Quorum::All),
            _ => match text.parse() {
                Ok(count) if count > 0 => Ok(Quorum::Count(count)),
                _ => Err(format!("'{text}' is not one, quorum, all or a number of replicas from 1")),
            },
        }
    }
}

// People write "quorum" or 2; on the wire it is one byte, with 253 to 255 for the words.
impl Serialize for Quorum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match self {
                Quorum::Count(count) => serializer.serialize_u8(*count),
                word => serializer.collect_str(word),
            };
        }
        serializer.serialize_u8(match self {
            Quorum::One => 253,
            Quorum::Majority => 254,
            Quorum::All => 255,
            Quorum::Count(count) => *count,
        })
    }
}

impl<'de> Deserialize<'de> for Quorum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u8),
            Word(String),
        }
        if deserializer.is_human_readable() {
            let text = match Form::deserialize(deserializer)? {
                Form::Number(count) => count.to_string(),
                Form::Word(word) => word,
            };
            return text.parse().map_err(serde::de::Error::custom);
        }
        match u8::deserialize(deserializer)? {
            253 => Ok(Quorum::One),
            254 => Ok(Quorum::Majority),
            255 => Ok(Quorum::All),
            0 => Err(serde::de::Error::custom("a quorum of 0")),
            count => Ok(Quorum::Count(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_what_its_name_says() {
        let needed = |text: &str, owners| text.parse::<Quorum>().unwrap().needed(owners);
        assert_eq!([needed("one", 3), needed("quorum", 3), needed("all", 3), needed("2", 3)], [1, 2, 3, 2]);
        assert_eq!([needed("quorum", 4), needed("quorum", 1), needed("3", 1)], [3, 1, 1]);
        assert!("0".parse::<Quorum>().is_err() && "most".parse::<Quorum>().is_err());
    }

    #[test]
    fn travels_as_one_byte() {
        for quorum in [Quorum::One, Quorum::Majority, Quorum::All, Quorum::Count(2)] {
            let bytes = postcard::to_stdvec(&quorum).unwrap();
            assert_eq!(bytes.len(), 1);
            assert_eq!(postcard::from_bytes::<Quorum>(&bytes).unwrap(), quorum);
        }
        assert!(postcard::from_bytes::<Quorum>(&[0]).is_err());
    }
}
