use crate::nemesis::history::{Get, Outcome};
use crate::nemesis::judge::key::{KeyHistory, may_be_there};
use crate::nemesis::judge::pasts::{Pasts, Set};
use crate::nemesis::judge::{Found, Rule};

/// A get that begins after a write was acknowledged, by so many owners that it meets one of them, shows the write or something that
/// replaced it, and nothing that the write replaced. The gets of the end have met all owners, to whom stand-ins have given what they kept:
/// a write that is missing there is lost.
pub(super) fn check(key: &KeyHistory<'_>, pasts: &Pasts, found: &mut Found) {
    for get in &key.gets {
        if get.values.is_none() {
            if get.last {
                let why = get.error.as_deref().unwrap_or("no reason is given");
                found.push((Rule::ReadableInTheEnd, format!("cannot be read in the end: {why}")));
            }
            continue;
        }
        let due = due(key, pasts, get);
        let shown = key.shown(get);
        let numbers: Vec<u64> = shown.iter().map(|place| key.puts[*place].write).collect();
        let told = format!("a get from {} to {} us, which showed {numbers:?},", get.begin_us, get.end_us);
        let rule = if get.last { Rule::NoWriteLost } else { Rule::ReadsAreRegular };
        for place in missing(key, pasts, get, &shown, &due) {
            let put = key.puts[place];
            let what = format!(
                "{told} misses write {}, acknowledged at {} us by {} owners and {} stand-ins",
                put.write, put.end_us, put.owners, put.stand_ins
            );
            found.push((rule, what));
        }
        for old in shown {
            let replaced = |place: &usize| due.contains(*place) && pasts.certain(*place).contains(old);
            if let Some(newer) = (0..key.puts.len()).find(replaced) {
                let newer = key.puts[newer];
                let how = if newer.delete { "delete" } else { "write" };
                let what =
                    format!("{told} shows {}, which {how} {} had replaced", key.puts[old].write, newer.write);
                found.push((Rule::NothingComesBack, what));
            }
        }
    }
}

/// The writes, deletes included, of which the get meets an owner that has them.
fn due(key: &KeyHistory<'_>, pasts: &Pasts, get: &Get) -> Set {
    let mut due = pasts.empty();
    for (place, put) in key.puts.iter().enumerate() {
        let meets = get.last || get.owners + put.owners > key.bucket.replicas;
        if put.outcome == Outcome::Applied && put.end_us < get.begin_us && meets {
            due.insert(place);
        }
    }
    due
}

/// Values that are due and neither shown nor replaced by what is shown, nor by a delete that may have been there.
fn missing(key: &KeyHistory<'_>, pasts: &Pasts, get: &Get, shown: &[usize], due: &Set) -> Vec<usize> {
    let mut explained = pasts.empty();
    let mut may_be_deleted = false;
    for (place, put) in key.puts.iter().enumerate().filter(|(_, put)| put.delete) {
        explained.insert(place);
        if may_be_there(put) && put.begin_us < get.end_us {
            explained.union(pasts.possible(place));
            may_be_deleted = true;
        }
    }
    for place in shown {
        explained.insert(*place);
        explained.union(pasts.possible(*place));
    }
    // Where stamps decide, any write may go for any concurrent one; but something must be there.
    if key.bucket.by_stamp && (!shown.is_empty() || may_be_deleted) {
        return Vec::new();
    }
    (0..key.puts.len()).filter(|place| due.contains(*place) && !explained.contains(*place)).collect()
}
