use std::collections::HashMap;

use crate::nemesis::history::Outcome;
use crate::nemesis::judge::key::KeyHistory;
use crate::nemesis::judge::pasts::Pasts;
use crate::nemesis::judge::{Found, Rule};

/// Values are of this key and not from the future, nor of writes that were not applied; a write has one dot, and a dot names one write.
pub(super) fn check(key: &KeyHistory<'_>, found: &mut Found) {
    let mut dots: HashMap<&str, usize> = HashMap::new();
    let mut names: Vec<Option<&str>> = vec![None; key.puts.len()];
    let mut name = |place: usize, dot, found: &mut Found| {
        let known = *names[place].get_or_insert(dot);
        let named = *dots.entry(dot).or_insert(place);
        if known != dot {
            let write = key.puts[place].write;
            found.push((Rule::DotsAreUnique, format!("write {write} is {known} and {dot}")));
        }
        if named != place {
            let (one, other) = (key.puts[named].write, key.puts[place].write);
            found.push((Rule::DotsAreUnique, format!("{dot} names the writes {one} and {other}")));
        }
    };
    for (place, put) in key.puts.iter().enumerate() {
        if let Some(dot) = &put.dot {
            name(place, dot, found);
        }
        if put.outcome == Outcome::Applied && put.owners + put.stand_ins < put.w {
            let what = format!(
                "write {} was acknowledged by {} owners and {} stand-ins, and W was {}",
                put.write, put.owners, put.stand_ins, put.w
            );
            found.push((Rule::EnoughAcknowledge, what));
        }
    }
    for get in &key.gets {
        for value in get.values.iter().flatten() {
            let when = format!("a get that ended at {} us showed", get.end_us);
            let Some(place) = value.write.and_then(|write| key.place(write)) else {
                found.push((
                    Rule::NoStrangeValue,
                    format!("{when} a value that nobody put here, {}", value.dot),
                ));
                continue;
            };
            let put = key.puts[place];
            if put.delete || put.begin_us > get.end_us {
                found
                    .push((Rule::NoStrangeValue, format!("{when} write {}, which was not there", put.write)));
            }
            if put.outcome == Outcome::NotApplied {
                let what = format!("{when} write {}, which was not applied", put.write);
                found.push((Rule::NotAppliedStaysAway, what));
            }
            name(place, &value.dot, found);
        }
    }
}

/// No value of an answer replaced another of it, and where stamps decide there is one.
pub(super) fn check_siblings(key: &KeyHistory<'_>, pasts: &Pasts, found: &mut Found) {
    for get in &key.gets {
        let shown = key.shown(get);
        let when = format!("a get that ended at {} us showed", get.end_us);
        let mut violated = |what: String| found.push((Rule::SiblingsAreConcurrent, what));
        if key.bucket.by_stamp && shown.len() > 1 {
            violated(format!("{when} {} values where stamps decide", shown.len()));
        }
        for (index, place) in shown.iter().enumerate() {
            let write = key.puts[*place].write;
            if shown[index + 1..].contains(place) {
                violated(format!("{when} write {write} twice"));
            }
            for old in shown.iter().filter(|old| pasts.certain(*place).contains(**old)) {
                violated(format!(
                    "{when} write {} beside write {write}, which replaced it",
                    key.puts[*old].write
                ));
            }
        }
    }
}
