use crate::command::ScanPosition;
use crate::ids::Token;
use crate::key::Key;
use crate::wire::{RangeEntry, RangePage, RangeState};

/// How two replicas differ in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// They have other versions.
    Names,
    /// One of them is damaged or recovering there.
    Unsure,
}

/// A key in which replicas differ, and where it lies.
pub(super) type Found = ((Token, Key), Difference);

/// The keys of two pages in which they differ, and where the next pages begin: as far as both of them go.
pub(super) fn differences(ours: RangePage, theirs: RangePage) -> (Vec<Found>, Option<ScanPosition>) {
    let next = [&ours.next, &theirs.next].into_iter().flatten().min().cloned();
    let is_within =
        |entry: &RangeEntry| next.as_ref().is_none_or(|next| next.is_behind(entry.token, &entry.key));
    let mut ours = ours.entries.into_iter().filter(is_within).peekable();
    let mut theirs = theirs.entries.into_iter().filter(is_within).peekable();
    let mut found = Vec::new();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => (one.token, &one.key).cmp(&(other.token, &other.key)),
        };
        let one = if order.is_le() { ours.next() } else { None };
        let other = if order.is_ge() { theirs.next() } else { None };
        let difference = match (&one, &other) {
            (Some(RangeEntry { state: RangeState::Unsure, .. }), _)
            | (_, Some(RangeEntry { state: RangeState::Unsure, .. })) => Some(Difference::Unsure),
            (Some(one), Some(other)) => (digest(one) != digest(other)).then_some(Difference::Names),
            // A record without versions is as good as none.
            (Some(only), None) | (None, Some(only)) => (digest(only) != Some(0)).then_some(Difference::Names),
            (None, None) => None,
        };
        if let (Some(difference), Some(entry)) = (difference, one.or(other)) {
            found.push(((entry.token, entry.key), difference));
        }
    }
    (found, next)
}

fn digest(entry: &RangeEntry) -> Option<u64> {
    match entry.state {
        RangeState::Digest(digest, _) => Some(digest),
        RangeState::Record(_) | RangeState::Unsure => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(token: u64, key: &str, state: RangeState) -> RangeEntry {
        RangeEntry { token: Token(token), key: Key::try_from(key).unwrap(), state }
    }

    fn has(digest: u64) -> RangeState {
        RangeState::Digest(digest, u64::MAX)
    }

    #[test]
    fn what_only_one_has_what_differs_and_what_is_unsure_is_found_as_far_as_both_pages_go() {
        let ours = RangePage {
            entries: vec![
                entry(1, "same", has(5)),
                entry(2, "ours", has(6)),
                entry(4, "differs", has(7)),
                entry(5, "unsure", RangeState::Unsure),
                entry(6, "empty", has(0)),
            ],
            next: None,
        };
        let theirs = RangePage {
            entries: vec![
                entry(1, "same", has(5)),
                entry(3, "theirs", has(6)),
                entry(4, "differs", has(8)),
                entry(5, "unsure", has(9)),
            ],
            next: None,
        };
        let names = |pages: (Vec<Found>, _)| {
            let found = pages.0.into_iter();
            found.map(|((token, _), difference)| (token.0, difference)).collect::<Vec<_>>()
        };
        let all = [(2, Difference::Names), (3, Difference::Names), (4, Difference::Names)];
        let found = names(differences(ours.clone(), theirs.clone()));
        assert_eq!(found, [&all[..], &[(5, Difference::Unsure)]].concat());
        let shorter = RangePage { next: Some(ScanPosition::at(Token(4))), ..theirs };
        assert_eq!(differences(ours.clone(), shorter.clone()).1, Some(ScanPosition::at(Token(4))));
        assert_eq!(names(differences(ours, shorter)), all[..2]);
    }
}
