use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bucket::Quorum;
use crate::causality::ContextToken;
use crate::command::Sibling;
use crate::error::{Error, ErrorKind};
use crate::ids::Token;
use crate::key::Key;

/// A place in a bucket. Scans go by token, and by key where keys share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScanPosition {
    /// The token.
    pub token: Token,
    /// Behind this key of the token; before all of them if there is none.
    pub after: Option<Key>,
}

/// Reads a page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Name of the bucket.
    pub bucket: String,
    /// Where the page begins.
    pub from: ScanPosition,
    /// The last token of the range.
    pub last: Token,
    /// Only keys that begin so.
    pub prefix: Bytes,
    /// Most keys that are wanted; at most as many as in one `get_many`.
    pub limit: u32,
    /// Whether values and contexts are wanted too.
    pub values: bool,
    /// Replicas that have to answer; as the bucket says if none.
    pub r: Option<Quorum>,
    /// Milliseconds until the scan gives up.
    pub timeout_ms: Option<u32>,
}

/// A page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanAnswer {
    /// The keys, in the order of scans. There may be fewer than were wanted, or none, and more behind them.
    #[serde(deserialize_with = "crate::codec::list")]
    pub entries: Vec<ScanEntry>,
    /// Where the next page begins; none at the end of the range.
    pub next: Option<ScanPosition>,
}

/// A key that has a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanEntry {
    /// The key.
    pub key: Key,
    /// Its concurrent values, if they were wanted.
    #[serde(deserialize_with = "crate::codec::list")]
    pub values: Vec<Sibling>,
    /// What a get would have given, if values were wanted.
    pub context: ContextToken,
}

impl Scan {
    /// The first page of all keys of a bucket, without their values.
    pub fn new(bucket: impl Into<String>) -> Self {
        Scan {
            bucket: bucket.into(),
            from: ScanPosition::default(),
            last: Token(u64::MAX),
            prefix: Bytes::new(),
            limit: 1_000,
            values: false,
            r: None,
            timeout_ms: None,
        }
    }

    /// The same scan of keys that begin so.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same scan, with values.
    #[must_use]
    pub fn with_values(mut self) -> Self {
        self.values = true;
        self
    }

    /// The same scan from another place on.
    #[must_use]
    pub fn starting_at(mut self, from: ScanPosition) -> Self {
        self.from = from;
        self
    }

    /// The same scan with other pages.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl ScanPosition {
    /// The first place of `token`.
    pub fn at(token: Token) -> Self {
        ScanPosition { token, after: None }
    }

    /// Whether the key at `token` lies before this place.
    pub fn is_behind(&self, token: Token, key: &Key) -> bool {
        token < self.token || token == self.token && self.after.as_ref().is_some_and(|after| key <= after)
    }
}

/// Sixteen hexadecimal digits of the token; then, behind a colon, those of the key.
impl fmt::Display for ScanPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.token.0)?;
        let Some(after) = &self.after else { return Ok(()) };
        f.write_str(":")?;
        after.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ScanPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (token, key) = match text.split_once(':') {
            Some((token, key)) => (token, Some(key)),
            None => (text, None),
        };
        let token = (token.len() == 16).then(|| u64::from_str_radix(token, 16).ok()).flatten();
        let after = key.map(|key| bytes_of(key).and_then(|key| Key::new(key).ok()));
        match (token, after) {
            (Some(token), None) => Ok(ScanPosition::at(Token(token))),
            (Some(token), Some(Some(key))) => Ok(ScanPosition { token: Token(token), after: Some(key) }),
            _ => Err(Error::new(
                ErrorKind::InvalidKey,
                format!("'{text}' is no place of a scan: pass what the page before gave"),
            )),
        }
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let byte = |place| u8::from_str_radix(digits.get(place..place + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_read_as_they_are_written(token: u64, key in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..40))) {
            let place = ScanPosition { token: Token(token), after: key.map(|key| Key::new(key).unwrap()) };
            prop_assert_eq!(place.to_string().parse::<ScanPosition>().unwrap(), place);
        }

        #[test]
        fn rubbish_is_no_place(text in "[0-9a-f:+é]{0,20}") {
            if let Ok(place) = text.parse::<ScanPosition>() {
                prop_assert_eq!(place.to_string(), text);
            }
        }
    }
}
