//! The leaves that differ: their names are listed at both sides, and the keys that differ are repaired.

use std::collections::VecDeque;

use crate::command::{GetAnswer, ScanPosition};
use crate::error::Error;
use crate::ids::Token;
use crate::machine::anti_entropy::listing::{Difference, differences};
use crate::machine::anti_entropy::{AntiEntropy, ENTRIES_MAX, Gets, KEYS_MAX, State};
use crate::machine::outbox::Outbox;
use crate::machine::prepare::get_to_repair;
use crate::machine::{Effect, PreparedGet};
use crate::mutants::{self, Mutant};
use crate::replica::Mutation;
use crate::time::Now;
use crate::tree::LeafId;
use crate::view::View;
use crate::wire::{RangeAnswer, RangeItem, RangePage, RequestBody};

/// A leaf of which the names are compared.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) leaf: LeafId,
    pub(super) from: ScanPosition,
    pub(super) last: Token,
    pub(super) ours: Option<RangePage>,
    pub(super) theirs: Option<RangePage>,
    /// Where the next page begins, once both are there.
    pub(super) next: Option<ScanPosition>,
    pub(super) found: usize,
    pub(super) failed: bool,
}

impl AntiEntropy {
    pub(super) fn list<T>(&mut self, (view, _): (&View, Now), listing: Listing, outbox: &mut Outbox<'_, T>) {
        let Some(peer) = self.round.peer() else { return };
        let item = RangeItem {
            bucket: listing.leaf.tree.bucket,
            repairs: true,
            from: listing.from.clone(),
            last: listing.last,
            prefix: bytes::Bytes::new(),
            entries_max: ENTRIES_MAX.min(view.limits.batch_keys_max as u32),
            records: false,
        };
        self.step += 1;
        outbox.effect(Effect::List(self.step, item.clone()));
        self.call(view, peer, RequestBody::ReadRange(item), outbox);
        self.state = State::Listing(listing);
    }

    /// This node's own names were listed.
    pub(in crate::machine) fn listed<T>(
        &mut self,
        at: (&View, Now),
        (step, answer): (u64, RangeAnswer),
        outbox: &mut Outbox<'_, T>,
    ) -> Gets {
        let State::Listing(listing) = &mut self.state else { return None };
        if step != self.step {
            return None;
        }
        listing.ours = match answer {
            RangeAnswer::Page(page) => Some(page),
            // The peer's page means nothing then; the leaf is tried again in the next round.
            RangeAnswer::Refused(_) => {
                listing.failed = true;
                Some(RangePage { entries: Vec::new(), next: Some(listing.from.clone()) })
            }
        };
        self.listed_both(at, outbox)
    }

    pub(super) fn listed_both<T>(&mut self, at: (&View, Now), outbox: &mut Outbox<'_, T>) -> Gets {
        let State::Listing(listing) = std::mem::replace(&mut self.state, State::Resting) else { return None };
        let (mut listing, ours, theirs) = match listing {
            Listing { ours: Some(ours), theirs: Some(theirs), .. } => {
                (Listing { ours: None, theirs: None, ..listing }, ours, theirs)
            }
            listing => {
                self.state = State::Listing(listing);
                return None;
            }
        };
        let (view, now) = at;
        let (bucket, peer) = (view.bucket_by_id(listing.leaf.tree.bucket), self.round.peer());
        let (Some(bucket), Some(peer), false) = (bucket, peer, listing.failed) else {
            listing.failed = true;
            self.end_leaf(now, &listing, outbox);
            return None;
        };
        let (found, next) = differences(ours, theirs);
        listing.found += found.len();
        listing.next = next;
        let open = self.open.get_mut(&listing.leaf.tree);
        let lacks = open.as_ref().is_some_and(|open| !open.begun.standing.is_complete);
        if lacks
            && let Some(open) = open
            && found.iter().any(|(_, difference)| *difference == Difference::Unsure)
        {
            // A node that lacks something cannot help to heal the other, nor wait until it is whole: it takes what there is, and counts it so.
            open.theirs.is_complete = false;
        }
        let gets = found.into_iter().map(|(at, difference)| {
            let is_pair = lacks || matches!(difference, Difference::Names);
            let takes_parts = lacks && difference == Difference::Unsure;
            get_to_repair(view, bucket, at, is_pair.then_some([view.node(), peer]), takes_parts)
        });
        let gets = gets.collect();
        self.repair(at, listing, gets, outbox)
    }

    /// Repairs some of the keys that differ, or goes on to the next page of the leaf.
    fn repair<T>(
        &mut self,
        (view, now): (&View, Now),
        mut listing: Listing,
        mut gets: VecDeque<PreparedGet>,
        outbox: &mut Outbox<'_, T>,
    ) -> Gets {
        if mutants::on(Mutant::ComparesWithoutRepair) {
            gets.clear();
        }
        if !gets.is_empty() {
            let some = gets.drain(..gets.len().min(KEYS_MAX)).map(Ok).collect();
            self.state = State::Repairing(listing, gets);
            return Some(some);
        }
        match listing.next.take() {
            Some(next) => {
                listing.from = next;
                self.list((view, now), listing, outbox);
            }
            None => self.end_leaf(now, &listing, outbox),
        }
        None
    }

    /// Keys were repaired, or could not be.
    pub(in crate::machine) fn repaired<T>(
        &mut self,
        at: (&View, Now),
        results: &[Result<GetAnswer, Error>],
        outbox: &mut Outbox<'_, T>,
    ) -> Gets {
        let State::Repairing(mut listing, gets) = std::mem::replace(&mut self.state, State::Resting) else {
            return None;
        };
        let failed = results.iter().filter(|result| result.is_err()).count();
        listing.failed |= failed > 0;
        self.round.repaired((results.len() - failed) as u64, failed as u64);
        self.repair(at, listing, gets, outbox)
    }

    fn end_leaf<T>(&mut self, now: Now, listing: &Listing, outbox: &mut Outbox<'_, T>) {
        if listing.found == 0 && !listing.failed {
            // Writes that were under way are the likely reason. If it is not them, the sum is wrong.
            let leaves = vec![listing.leaf];
            outbox.effect(Effect::Mutate(Mutation::Count { leaves, reply: None }));
        }
        let tree = listing.leaf.tree;
        if let Some(open) = self.open.get_mut(&tree) {
            open.leaves -= 1;
            open.went_well &= !listing.failed;
            if open.leaves == 0
                && let Some(open) = self.open.remove(&tree)
            {
                if open.went_well {
                    self.exchanged(tree, (open.begun, open.theirs), now, outbox);
                } else {
                    self.round.failed();
                }
            }
        }
        self.rest(now);
    }
}
