use std::collections::BTreeMap;

use kv_core::storage::{Page, ScanRange, Storage, StorageError};

use super::marker;
use super::table::{Says, Table};

/// Most changed keys that are put in order at a time.
const CHANGED_MAX: usize = 1_024;

/// Adds to `page` what is in a range of tables, the newest first, and of the storage below them.
pub(super) fn scan<'a>(
    below: &dyn Storage,
    tables: impl Iterator<Item = &'a Table>,
    range: ScanRange<'_>,
    page: &mut Page,
) -> Result<(), StorageError> {
    let tables: Vec<&Table> = tables.collect();
    let mut after = range.after.map(<[u8]>::to_vec);
    loop {
        let rest = ScanRange { after: after.as_deref(), ..range };
        let (changed, known_to) = changed(&tables, rest);
        let mut part = page.like();
        below.scan(rest, &mut part)?;
        // As far as both are known.
        let below_to = if part.is_full() { part.last_key().map(<[u8]>::to_vec) } else { None };
        let to = match (known_to, below_to) {
            (Some(known), Some(below)) => Some(known.min(below)),
            (known, below) => known.or(below),
        };
        let is_known = |key: &[u8]| to.as_deref().is_none_or(|to| key <= to);
        let mut ours = changed.iter().filter(|(key, _)| is_known(key)).peekable();
        let mut theirs = part.entries().filter(|(key, _)| is_known(key)).peekable();
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some((our, value)), Some((their, _))) if our.as_slice() <= *their => {
                    Some((our.as_slice(), **value))
                }
                (Some((our, value)), None) => Some((our.as_slice(), **value)),
                (_, Some((their, value))) => Some((*their, Says::Value(value))),
                (None, None) => None,
            };
            let Some((key, says)) = next else { break };
            let is_ours = ours.peek().is_some_and(|(our, _)| our.as_slice() == key);
            let is_theirs = theirs.peek().is_some_and(|(their, _)| *their == key);
            if is_ours {
                ours.next();
            } else if key == marker::KEY || tables.iter().any(|table| table.says(key) == Says::Nothing) {
                // It is the log's own, or lies in a range that was removed.
                theirs.next();
                continue;
            }
            if is_theirs {
                theirs.next();
            }
            if let Says::Value(value) = says
                && !page.push(key, value)
            {
                return Ok(());
            }
        }
        match to {
            Some(to) => after = Some(to),
            None => return Ok(()),
        }
    }
}

/// The next changed keys of a range with what the newest table that has each says of it, and the key up to which these are all, if there may be more.
fn changed<'a>(tables: &[&'a Table], range: ScanRange<'_>) -> (BTreeMap<Vec<u8>, Says<'a>>, Option<Vec<u8>>) {
    let mut all: BTreeMap<Vec<u8>, Says<'a>> = BTreeMap::new();
    let mut to: Option<Vec<u8>> = None;
    for (age, table) in tables.iter().enumerate() {
        let mut seen = 0;
        table.scan(range, |key| {
            let says = tables.iter().take(age + 1).map(|table| table.says(key));
            if let Some(says) = says.into_iter().find(|says| *says != Says::Unknown) {
                all.entry(key.to_vec()).or_insert(says);
            }
            seen += 1;
            if seen == CHANGED_MAX {
                to = Some(to.take().map_or_else(|| key.to_vec(), |to| to.min(key.to_vec())));
            }
            seen < CHANGED_MAX
        });
    }
    (all, to)
}
