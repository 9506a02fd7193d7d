use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bucket::BucketProperties;
use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::BucketId;
use crate::limits::Limits;

/// Longest name of a bucket, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Names that are remembered, those of deleted buckets included, for each bucket that there may be.
const NAMES_PER_BUCKET: usize = 16;

/// The buckets of a cluster. Each name is a register in which the change with the highest stamp wins, so tables that were
/// changed apart merge to the same table everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketTable {
    entries: BTreeMap<String, BucketEntry>,
}

/// What the table says about one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEntry {
    /// The id, drawn at random when the bucket was created; a bucket that is created again has another.
    pub id: BucketId,
    /// When the entry was changed.
    pub changed: Stamp,
    /// The properties, or none for a bucket that was deleted.
    pub properties: Option<BucketProperties>,
}

impl Default for BucketTable {
    /// The buckets that every cluster begins with: `default`, which keeps siblings, and `redis`, last write wins.
    fn default() -> Self {
        let redis = BucketProperties { resolver: "last_write_wins".into(), ..BucketProperties::default() };
        let entry = |id, properties| BucketEntry { id, changed: Stamp(0), properties: Some(properties) };
        let entries = [
            ("default".to_string(), entry(BucketId::DEFAULT, BucketProperties::default())),
            ("redis".to_string(), entry(BucketId::REDIS, redis)),
        ];
        BucketTable { entries: entries.into() }
    }
}

impl BucketTable {
    /// A new cluster's table, in which `default` and `redis` have `n` replicas and that durability.
    pub fn first(n: u8, durability: crate::storage::Durability) -> Self {
        let mut table = BucketTable::default();
        for entry in table.entries.values_mut() {
            if let Some(properties) = &mut entry.properties {
                properties.n = n;
                properties.durability = durability;
            }
        }
        table
    }

    /// The buckets whose keys have more than one owner in a cluster of so many members.
    pub fn replicated(&self, members: usize) -> Vec<BucketId> {
        let replicated = self.buckets().filter(|(_, _, properties)| properties.n > 1 && members > 1);
        replicated.map(|(_, id, _)| id).collect()
    }

    /// The live buckets, ascending by name.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, BucketId, &BucketProperties)> {
        self.entries.iter().filter_map(|(name, entry)| {
            entry.properties.as_ref().map(|properties| (name.as_str(), entry.id, properties))
        })
    }

    /// Whether there is a live bucket with that id.
    pub fn has(&self, id: BucketId) -> bool {
        self.buckets().any(|(_, other, _)| other == id)
    }

    /// The live bucket of that name.
    pub fn get(&self, name: &str) -> Option<(BucketId, &BucketProperties)> {
        let entry = self.entries.get(name)?;
        Some((entry.id, entry.properties.as_ref()?))
    }

    /// Creates a bucket or changes its properties; `id` is used if it is new.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidBucket`] for a bad name, bad properties, a change of `n` or of the resolver of a bucket that exists, or a full table.
    pub fn set(
        &mut self,
        name: &str,
        properties: BucketProperties,
        id: BucketId,
        now: Stamp,
        limits: &Limits,
    ) -> Result<(), Error> {
        check_name(name)?;
        properties.check(limits)?;
        let bad = |what: String| Err(Error::new(ErrorKind::InvalidBucket, what));
        let before = self.entries.get(name);
        let id = match before.and_then(|entry| entry.properties.as_ref().map(|old| (entry.id, old))) {
            Some((_, old)) if old.n != properties.n => {
                return bad(format!(
                    "n of bucket '{name}' is {} and cannot be changed in this release",
                    old.n
                ));
            }
            Some((_, old)) if old.resolver != properties.resolver => {
                return bad(format!("the resolver of bucket '{name}' is {} and is fixed", old.resolver));
            }
            Some((_, old)) if old.w_min < properties.w_min => {
                // A write that was acknowledged by fewer replicas may be needed to heal a damaged record.
                return bad(format!("w_min of bucket '{name}' is {} and can only be lowered", old.w_min));
            }
            Some((id, _)) => id,
            None if self.buckets().count() >= limits.buckets_max => {
                return bad(format!("there are {} buckets already, the most allowed", limits.buckets_max));
            }
            None if before.is_none() && self.entries.len() >= NAMES_PER_BUCKET * limits.buckets_max => {
                return bad("too many names of deleted buckets are remembered: take one of those".into());
            }
            None if id <= BucketId::REDIS || self.entries.values().any(|entry| entry.id == id) => {
                return bad("the drawn bucket id is taken: try again".into());
            }
            None => id,
        };
        let changed = before.map_or(now, |entry| now.max(entry.changed.next()));
        self.entries.insert(name.to_string(), BucketEntry { id, changed, properties: Some(properties) });
        Ok(())
    }

    /// Deletes a bucket and everything in it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownBucket`] if there is none; [`ErrorKind::InvalidBucket`] for the two that every cluster has.
    pub fn delete(&mut self, name: &str, now: Stamp) -> Result<(), Error> {
        let unknown = || Error::new(ErrorKind::UnknownBucket, format!("there is no bucket '{name}'"));
        let entry = self.entries.get_mut(name).ok_or_else(unknown)?;
        if entry.properties.is_none() {
            return Err(unknown());
        }
        if entry.id <= BucketId::REDIS {
            return Err(Error::new(ErrorKind::InvalidBucket, format!("bucket '{name}' cannot be deleted")));
        }
        entry.changed = now.max(entry.changed.next());
        entry.properties = None;
        Ok(())
    }

    /// Takes in every change of `other` that is newer, and says whether there was one.
    pub fn merge(&mut self, other: &BucketTable) -> bool {
        let mut changed = false;
        for (name, theirs) in &other.entries {
            let newer = self
                .entries
                .get(name)
                .is_none_or(|ours| (theirs.changed, theirs.id) > (ours.changed, ours.id));
            if newer {
                self.entries.insert(name.clone(), theirs.clone());
                changed = true;
            }
        }
        changed
    }

    /// A digest by which nodes see that their tables differ.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&postcard::to_stdvec(self).unwrap_or_default())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
        return Err(Error::new(
            ErrorKind::InvalidBucket,
            format!(
                "a bucket's name has 1 to {NAME_BYTES_MAX} characters of a-z 0-9 _ - . and '{name}' has not"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, at: u64, id: u32) -> BucketTable {
        let mut table = BucketTable::default();
        let limits = Limits::default();
        table.set(name, BucketProperties::default(), BucketId(id), Stamp(at), &limits).unwrap();
        table
    }

    #[test]
    fn tables_that_were_changed_apart_merge_to_the_same() {
        let tables = [changed("a", 5, 10), changed("a", 5, 11), changed("b", 7, 12)];
        let merged = |order: [usize; 3]| {
            let mut table = BucketTable::default();
            for index in order {
                table.merge(&tables[index]);
            }
            table
        };
        assert_eq!(merged([0, 1, 2]), merged([2, 1, 0]));
        assert_eq!(merged([0, 1, 2]).digest(), merged([1, 0, 2]).digest());
        assert_eq!(merged([0, 1, 2]).get("a").unwrap().0, BucketId(11));
    }

    #[test]
    fn a_deleted_bucket_comes_back_under_another_id() {
        let mut table = changed("a", 5, 10);
        table.delete("a", Stamp(1)).unwrap();
        assert!(table.get("a").is_none());
        assert!(table.buckets().all(|(_, id, _)| id != BucketId(10)));
        let limits = Limits::default();
        table.set("a", BucketProperties::default(), BucketId(11), Stamp(1), &limits).unwrap();
        assert_eq!(table.get("a").unwrap().0, BucketId(11));
        assert!(!table.merge(&changed("a", 5, 10)), "an old table changes nothing");
    }

    #[test]
    fn bad_names_and_properties_are_refused() {
        let mut table = BucketTable::default();
        let limits = Limits::default();
        let long = "x".repeat(65);
        for name in ["", "A", "a b", long.as_str()] {
            let result = table.set(name, BucketProperties::default(), BucketId(9), Stamp(1), &limits);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidBucket, "{name}");
        }
        for (n, w_min) in [(0, 1), (17, 1), (3, 0), (3, 3)] {
            let properties = BucketProperties { n, w_min, ..BucketProperties::default() };
            assert!(
                table.set("a", properties, BucketId(9), Stamp(1), &limits).is_err(),
                "n={n} w_min={w_min}"
            );
        }
        assert_eq!(table.delete("default", Stamp(9)).unwrap_err().kind(), ErrorKind::InvalidBucket);
    }

    #[test]
    fn names_of_deleted_buckets_are_used_again_and_bounded() {
        let limits = Limits { buckets_max: 4, ..Limits::default() };
        let mut table = BucketTable::default();
        let mut create = |number: u32, id: u32| {
            let name = format!("bucket-{number}");
            let now = Stamp(u64::from(number));
            table.set(&name, BucketProperties::default(), BucketId(id), now, &limits)?;
            table.delete(&name, now)
        };
        for number in 0..limits.buckets_max as u32 * NAMES_PER_BUCKET as u32 - 2 {
            create(number, 100 + number).unwrap();
        }
        assert_eq!(create(1_000, 5_000).unwrap_err().kind(), ErrorKind::InvalidBucket);
        create(5, 5_000).unwrap();
    }
}
