//! How many entries there are.

use std::sync::atomic::Ordering;
use std::thread;

use kv_core::storage::{Page, ScanRange, StorageError, StorageStats};

use super::inner::Inner;
use super::marker;
use super::table::Says;

/// After so many changed keys their share of new ones is estimated instead of counted.
const COUNTED: usize = 1_024;
/// How often what changes meanwhile is counted again.
const COUNT_TRIES: usize = 3;

impl Inner {
    /// Figures of the storage below, and how many more entries there are than it counts; roughly while it is being given something all the time.
    pub(super) fn counted(&self) -> Result<(StorageStats, i64), StorageError> {
        let mut tries = COUNT_TRIES;
        loop {
            let before = self.given.load(Ordering::Acquire);
            let counted = (self.below.stats()?, self.more_than_below()?);
            tries -= 1;
            if tries == 0 || (before.is_multiple_of(2) && before == self.given.load(Ordering::Acquire)) {
                return Ok(counted);
            }
            thread::yield_now();
        }
    }

    /// How many more entries there are than below: counted if few keys were changed, otherwise estimated from some of them.
    fn more_than_below(&self) -> Result<i64, StorageError> {
        let tables = self.tables.read();
        let mut value = Vec::new();
        let mut more = 0;
        for (age, table) in tables.newest_first().enumerate() {
            let step = table.len().div_ceil(COUNTED).max(1);
            let mut found = 0;
            for number in (0..table.len()).step_by(step) {
                let Some((key, _)) = table.nth(number) else { continue };
                if tables.newest_first().take(age).any(|newer| newer.has(key)) {
                    continue;
                }
                let says = tables.says(key);
                let is_below = self.below.get(key, &mut value)?;
                found += i64::from(matches!(says, Says::Value(_))) - i64::from(is_below);
            }
            more += found * step as i64;
        }
        // What was removed as a range, and not changed since.
        let mut left = COUNTED;
        for (age, table) in tables.newest_first().enumerate() {
            for (start, end) in table.removed() {
                let mut page = Page::new(left.max(1), usize::MAX);
                self.below.scan(ScanRange::new(start, end), &mut page)?;
                let is_counted = |key: &[u8]| {
                    key == marker::KEY
                        || tables.newest_first().any(|table| table.has(key))
                        || tables.newest_first().take(age).any(|newer| newer.says(key) != Says::Unknown)
                };
                let gone = page.entries().filter(|(key, _)| !is_counted(key));
                more -= gone.count() as i64;
                left -= page.entries().len().min(left);
            }
        }
        Ok(more)
    }
}
