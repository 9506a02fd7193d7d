//! What a put writes, as far as it is settled at the door, and what the read inside it adds.

use smallvec::SmallVec;

use crate::bucket::BucketProperties;
use crate::causality::Context;
use crate::command::{Attempt, Content, Expires, Replace};
use crate::error::{Error, ErrorKind};
use crate::limits::EXPIRY_MS_MAX;
use crate::mutants::{self, Mutant};
use crate::record::{Draft, Record, Version};
use crate::time::Now;

/// What a version takes from the one that the read inside its put finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherits {
    Nothing,
    /// Its expiry.
    Expiry,
    /// Its value.
    Value,
}

/// Begins a draft: from here on its expiry is a moment, which nobody computes again.
pub(super) fn draft(
    properties: &BucketProperties,
    now: Now,
    content: Content,
    replace: &Replace,
    attempt: Attempt,
) -> Result<(Draft, Inherits), Error> {
    let id = match attempt {
        Attempt::Only => None,
        Attempt::First(id) | Attempt::Again(id) => Some(id),
    };
    let (value, expires, inherits) = match content {
        Content::Value(value, Expires::Keep) => (Some(value), Expires::Keep, Inherits::Expiry),
        Content::Value(value, expires) => (Some(value), expires, Inherits::Nothing),
        Content::Tombstone => (None, Expires::Never, Inherits::Nothing),
        Content::Same(Expires::Keep) => {
            return Err(refuse("a put that keeps the value and its expiry changes nothing"));
        }
        Content::Same(_) if id.is_some() => {
            return Err(refuse("a change of the expiry alone takes no id: made twice it is as made once"));
        }
        Content::Same(expires) => (None, expires, Inherits::Value),
    };
    if inherits != Inherits::Nothing && *replace != Replace::Overwrite {
        return Err(refuse("what a put keeps is what an overwrite finds: it takes no context"));
    }
    let expires_at_ms = moment(properties, now, expires)?;
    Ok((Draft { value, expires_at_ms, value_stamp: None, id }, inherits))
}

/// When a value expires that arrives now.
fn moment(properties: &BucketProperties, now: Now, expires: Expires) -> Result<Option<u64>, Error> {
    let after_ms = match expires {
        Expires::Never | Expires::Keep => return Ok(None),
        Expires::ByBucket => match properties.expiry_ms {
            None => return Ok(None),
            Some(after_ms) => after_ms,
        },
        Expires::AfterMs(after_ms) => after_ms,
        Expires::AtMs(at_ms) => at_ms.saturating_sub(now.wall_ms),
    };
    let after_ms = if mutants::on(Mutant::ExpiryComesEarly) { after_ms / 2 } else { after_ms };
    match now.wall_ms.checked_add(after_ms) {
        // What has passed by this clock has passed by every clock.
        _ if after_ms == 0 => Ok(Some(0)),
        Some(at_ms) if at_ms <= EXPIRY_MS_MAX => Ok(Some(at_ms)),
        _ => Err(refuse("no value can live beyond the year 10889: the expiry is too far away")),
    }
}

impl Inherits {
    /// Adds to `draft` what it takes from what the read found, and says what it replaces; nothing if there is nothing to write. What is
    /// there is judged by the coordinator's clock, after all answers were merged.
    pub(super) fn fill(
        self,
        draft: &mut Draft,
        record: &Record,
        wall_ms: u64,
    ) -> Result<Option<Context>, Error> {
        let shown: SmallVec<[Version; 2]> = record.clone().into_shown(wall_ms).collect();
        match self {
            Inherits::Nothing if draft.value.is_none() && shown.is_empty() => return Ok(None),
            Inherits::Nothing => return Ok(Some(record.context())),
            Inherits::Expiry | Inherits::Value if shown.len() > 1 => {
                let what = format!(
                    "the key has {} concurrent values: get, resolve, and put with the context",
                    shown.len()
                );
                return Err(Error::new(ErrorKind::TooManySiblings, what));
            }
            Inherits::Expiry => {
                draft.expires_at_ms = shown.first().and_then(Version::expires_at_ms);
                return Ok(Some(record.context()));
            }
            Inherits::Value => {}
        }
        let Some(only) = shown.into_iter().next() else { return Ok(None) };
        // It replaces that value alone, with every try of it, so that it is above all that it replaces by both its stamps.
        let tries = || record.versions().iter().filter(|version| version.is_live(wall_ms));
        draft.value_stamp = tries().map(|version| version.stamp).max();
        draft.value = only.value;
        Ok(Some(Record::context_of(tries())))
    }
}

fn refuse(why: &str) -> Error {
    Error::new(ErrorKind::InvalidPut, why)
}
