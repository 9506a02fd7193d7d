use std::collections::BTreeMap;

use crate::ids::OpId;

/// When operations are to be looked at.
///
/// There is a timer for each operation of the last seconds, and most are due when their operation has long ended. So they lie in slots of
/// about a millisecond, which are put in order when they come up: adding one touches a single list, and not a heap of all.
#[derive(Debug, Default)]
pub(super) struct Timers {
    slots: BTreeMap<u64, Vec<(u64, OpId)>>,
    /// Those that are due, the latest first.
    due: Vec<(u64, OpId)>,
    /// Slots that were emptied, for those to come.
    spare: Vec<Vec<(u64, OpId)>>,
}

/// Emptied slots that are kept.
const SPARE_MAX: usize = 64;

/// Microseconds of a slot, as a power of two.
const SLOT_BITS: u32 = 10;

impl Timers {
    pub(super) fn add(&mut self, at_us: u64, op: OpId) {
        let slot = self.slots.entry(at_us >> SLOT_BITS);
        slot.or_insert_with(|| self.spare.pop().unwrap_or_default()).push((at_us, op));
    }

    /// When the first is due.
    pub(super) fn next_us(&self) -> Option<u64> {
        let waiting = self.slots.first_key_value().and_then(|(_, slot)| slot.iter().map(|(at, _)| *at).min());
        let due = self.due.last().map(|(at, _)| *at);
        waiting.into_iter().chain(due).min()
    }

    /// Takes the first that is due by `now_us`.
    pub(super) fn pop_due(&mut self, now_us: u64) -> Option<OpId> {
        while self.due.is_empty() {
            let slot = self.slots.first_entry().filter(|slot| *slot.key() <= now_us >> SLOT_BITS)?;
            let number = *slot.key();
            let mut timers = slot.remove();
            timers.sort_unstable_by(|one, other| other.cmp(one));
            let first = timers.partition_point(|(at, _)| *at > now_us);
            self.due.extend(timers.drain(first..));
            if !timers.is_empty() {
                // The rest of a slot that has only begun.
                self.slots.insert(number, timers);
                break;
            }
            if self.spare.len() < SPARE_MAX {
                self.spare.push(timers);
            }
        }
        self.due.pop().map(|(_, op)| op)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn timers_come_in_their_order_and_none_too_early(
            added in prop::collection::vec((0_u64..20_000, 0_u64..3_000), 1..200),
        ) {
            let (mut timers, mut model, mut now) = (Timers::default(), Vec::new(), 0);
            for (number, (after, pass)) in added.into_iter().enumerate() {
                let op = OpId(number as u64);
                timers.add(now + 1 + after, op);
                model.push((now + 1 + after, op));
                now += pass;
                model.sort();
                while let Some((at, op)) = model.first().copied().filter(|(at, _)| *at <= now) {
                    prop_assert_eq!(timers.next_us(), Some(at));
                    prop_assert_eq!(timers.pop_due(now), Some(op));
                    model.remove(0);
                }
                prop_assert_eq!(timers.pop_due(now), None);
                prop_assert_eq!(timers.next_us(), model.first().map(|(at, _)| *at));
            }
        }
    }
}
