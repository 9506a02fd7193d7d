use super::*;
use crate::causality::{Actor, Dot, DotSet};
use crate::ids::Incarnation;
use crate::testing::simulation::Check;
use crate::testing::simulation::history::{
    Basis, ClockSpan, HandedOn, Lifetime, Read, Seen, Write, WriteOutcome, Written,
};

fn dot(counter: u64) -> Dot {
    Dot { actor: Actor { incarnation: Incarnation(1), birth: 1 }, counter }
}

/// A put that took from `10 * id` to `10 * id + 5` us and was acknowledged by two of three replicas under the dot with its id.
fn put(id: u64, basis: Basis, named: &[u64]) -> Write {
    Write {
        id,
        what: Written::Value(None),
        is_retried: false,
        start_us: id * 10,
        end_us: id * 10 + 5,
        reads_until_us: id * 10 + 5,
        basis,
        w: 2,
        r: 2,
        outcome: WriteOutcome::Applied(dot(id), named.iter().map(|id| dot(*id)).collect::<DotSet>()),
        kept_for: Vec::new(),
    }
}

/// The value of the put at that place, under the dot of that number.
fn seen(number: u64, write: Option<usize>) -> Seen {
    Seen { dot: dot(number), write, origin: write, expires_at_ms: None }
}

/// A get of two of three replicas that showed the writes with these ids.
fn get(start_us: u64, shown: &[u64]) -> Read {
    let values = shown.iter().map(|id| seen(*id, Some(*id as usize - 1))).collect();
    let clock = ClockSpan { from_ms: start_us, until_ms: start_us + 5 };
    Read { start_us, end_us: start_us + 5, r: 2, clock, is_final: false, values }
}

fn found(writes: Vec<Write>, reads: Vec<Read>) -> Vec<Check> {
    found_where(false, writes, reads)
}

fn found_where(by_stamp: bool, writes: Vec<Write>, reads: Vec<Read>) -> Vec<Check> {
    let key = KeyHistory {
        name: "key".into(),
        replicas: 3,
        by_stamp,
        writes,
        reads,
        listed: Vec::new(),
        handed_on: Vec::new(),
        restored: Vec::new(),
    };
    check_history(&History::new(vec![key])).into_iter().map(|violation| violation.check).collect()
}

#[test]
fn what_may_happen_is_no_violation() {
    let writes =
        || vec![put(1, Basis::Nothing, &[]), put(2, Basis::Nothing, &[]), put(3, Basis::Read(0), &[1])];
    assert_eq!(found(writes(), vec![get(26, &[1]), get(50, &[2, 3])]), [Check::ReadsAreRegular]);
    assert_eq!(found(writes(), vec![get(16, &[1]), get(50, &[2, 3])]), []);
}

#[test]
fn a_read_that_misses_an_acknowledged_write_is_found() {
    let writes = || vec![put(1, Basis::Nothing, &[]), put(2, Basis::Nothing, &[])];
    assert_eq!(found(writes(), vec![get(50, &[2])]), [Check::ReadsAreRegular]);
    assert_eq!(found(writes(), vec![Read { is_final: true, ..get(50, &[1]) }]), [Check::NoWriteLost]);
    assert_eq!(found(writes(), vec![Read { r: 1, ..get(50, &[2]) }]), [], "1 + 2 is not above 3");
    assert_eq!(found(writes(), vec![get(22, &[1])]), [], "the second was still being made");
    assert_eq!(found_where(true, writes(), vec![get(50, &[2])]), [], "stamps decide");
    assert_eq!(found_where(true, writes(), vec![get(50, &[])]), [Check::ReadsAreRegular]);
}

#[test]
fn a_write_that_comes_back_is_found() {
    let writes = || vec![put(1, Basis::Nothing, &[]), put(2, Basis::Answer(0), &[1])];
    assert_eq!(
        found(writes(), vec![get(50, &[1])]),
        [Check::ReadsAreRegular; 2],
        "2 is missing and 1 is back"
    );
    assert_eq!(
        found(writes(), vec![get(50, &[1, 2])]),
        [Check::SiblingsAreConcurrent, Check::ReadsAreRegular]
    );
    let deleted = vec![
        put(1, Basis::Nothing, &[]),
        Write { what: Written::Tombstone, ..put(2, Basis::Answer(0), &[1]) },
    ];
    assert_eq!(found(deleted, vec![get(50, &[1])]), [Check::ReadsAreRegular]);
}

#[test]
fn an_indeterminate_write_explains_only_what_it_may_have_replaced() {
    let unknown = |basis| Write { outcome: WriteOutcome::Indeterminate, ..put(2, basis, &[]) };
    let after = |basis| vec![put(1, Basis::Nothing, &[]), unknown(basis)];
    assert_eq!(found(after(Basis::Overwrite), vec![get(50, &[2])]), []);
    assert_eq!(found(after(Basis::Answer(0)), vec![get(50, &[2])]), []);
    assert_eq!(found(after(Basis::Nothing), vec![get(50, &[2])]), [Check::ReadsAreRegular]);
    assert_eq!(
        found(after(Basis::Overwrite), vec![get(50, &[])]),
        [Check::ReadsAreRegular],
        "it is not there"
    );
    let mut late = after(Basis::Overwrite);
    late.push(put(3, Basis::Nothing, &[]));
    assert_eq!(
        found(late, vec![get(50, &[2])]),
        [Check::ReadsAreRegular],
        "3 began after the overwrite had read"
    );
}

#[test]
fn an_overwrite_that_does_not_replace_what_was_there_is_found() {
    let writes = |named: &[u64]| vec![put(1, Basis::Nothing, &[]), put(2, Basis::Overwrite, named)];
    assert_eq!(found(writes(&[1]), Vec::new()), []);
    assert_eq!(found(writes(&[]), Vec::new()), [Check::OverwritesAreRegular]);
}

#[test]
fn a_record_that_did_not_travel_whole_is_found() {
    let writes =
        || vec![put(1, Basis::Nothing, &[]), put(2, Basis::Nothing, &[]), put(3, Basis::Read(0), &[1])];
    let handed_on = |after: &[u64]| {
        let reads = vec![Read { r: 1, ..get(16, &[1]) }, Read { r: 1, ..get(50, after) }];
        let handed_on = vec![HandedOn { before: 0, put: 1, after: 1 }];
        let key = KeyHistory {
            name: "key".into(),
            replicas: 3,
            by_stamp: false,
            writes: writes(),
            reads,
            listed: Vec::new(),
            handed_on,
            restored: Vec::new(),
        };
        let violations = check_history(&History::new(vec![key]));
        violations.into_iter().map(|violation| violation.check).collect::<Vec<_>>()
    };
    assert_eq!(handed_on(&[1, 2]), []);
    assert_eq!(handed_on(&[2, 3]), [], "3 replaced 1");
    assert_eq!(handed_on(&[2]), [Check::WholeRecordsTravel]);
    assert_eq!(handed_on(&[1]), [Check::WholeRecordsTravel]);
}

#[test]
fn strange_values_are_found() {
    let strange = Read { values: vec![seen(9, None)], ..get(50, &[]) };
    assert_eq!(found(Vec::new(), vec![strange]), [Check::NoStrangeValue]);
    let early = vec![put(1, Basis::Nothing, &[])];
    assert_eq!(found(early, vec![get(2, &[1])]), [Check::NoStrangeValue], "it had not begun");
    let refused = Write { outcome: WriteOutcome::NotApplied, ..put(1, Basis::Nothing, &[]) };
    assert_eq!(found(vec![refused], vec![get(50, &[1])]), [Check::NotAppliedStaysAway]);
}

#[test]
fn dots_that_are_used_twice_are_found() {
    let twin = Write { outcome: WriteOutcome::Applied(dot(1), DotSet::new()), ..put(2, Basis::Nothing, &[]) };
    assert_eq!(found(vec![put(1, Basis::Nothing, &[]), twin], Vec::new()), [Check::DotsAreUnique]);
    let again = Read { values: vec![seen(7, Some(0))], ..get(50, &[]) };
    assert_eq!(found(vec![put(1, Basis::Nothing, &[])], vec![again]), [Check::DotsAreUnique]);
}

#[test]
fn two_values_where_stamps_decide_are_found() {
    let writes = vec![put(1, Basis::Nothing, &[]), put(2, Basis::Nothing, &[])];
    assert_eq!(found_where(true, writes, vec![get(50, &[1, 2])]), [Check::SiblingsAreConcurrent]);
}

#[test]
fn what_expired_is_not_shown_and_nothing_else_is_missing() {
    let lives = |at_ms| Written::Value(Some(Lifetime { at_ms, gone_from_ms: at_ms }));
    let writes =
        || vec![put(1, Basis::Nothing, &[]), Write { what: lives(60), ..put(2, Basis::Answer(0), &[1]) }];
    let expiring = |start_us, expires_at_ms| {
        let value = Seen { expires_at_ms, ..seen(2, Some(1)) };
        Read { values: vec![value], ..get(start_us, &[]) }
    };
    assert_eq!(found(writes(), vec![expiring(50, Some(60)), get(60, &[])]), []);
    assert_eq!(found(writes(), vec![expiring(57, Some(60)), get(57, &[])]), [], "it expires meanwhile");
    assert_eq!(found(writes(), vec![expiring(60, Some(60))]), [Check::ExpiredIsNotShown]);
    assert_eq!(found(writes(), vec![get(50, &[])]), [Check::ReadsAreRegular], "it has not expired");
    assert_eq!(found(writes(), vec![get(70, &[1])]), [Check::ReadsAreRegular], "the older is back");
    assert_eq!(found(writes(), vec![expiring(50, Some(61))]), [Check::ExpiriesAreKept]);
    assert_eq!(found(writes(), vec![expiring(50, None)]), [Check::ExpiriesAreKept]);
}

#[test]
fn a_change_of_an_expiry_that_shows_what_a_put_replaced_is_found() {
    let change = Written::Expiry(Lifetime { at_ms: 900, gone_from_ms: 900 });
    let writes = || {
        let change = Write { what: change, ..put(2, Basis::Overwrite, &[1]) };
        vec![put(1, Basis::Nothing, &[]), change, put(3, Basis::Answer(0), &[1])]
    };
    let changed = Seen { origin: Some(0), expires_at_ms: Some(900), ..seen(2, Some(1)) };
    let reads = || vec![Read { values: vec![changed.clone()], ..get(50, &[]) }];
    assert_eq!(found_where(true, writes(), reads()), [Check::ExpiriesAreKept]);
    assert_eq!(found_where(true, writes()[..2].to_vec(), reads()), []);
    let beside = vec![Read { values: vec![changed.clone(), seen(3, Some(2))], ..get(50, &[]) }];
    assert_eq!(found(writes(), beside), [], "siblings");
}

#[test]
fn two_tries_of_one_write_may_have_two_dots_and_are_shown_once() {
    let retried = || Write { is_retried: true, ..put(1, Basis::Nothing, &[]) };
    let again = |values| vec![Read { values, ..get(50, &[]) }];
    assert_eq!(found(vec![retried()], again(vec![seen(7, Some(0))])), []);
    let twice = again(vec![seen(1, Some(0)), seen(7, Some(0))]);
    assert_eq!(found(vec![retried()], twice), [Check::SiblingsAreConcurrent]);
    let replaced = || vec![retried(), put(2, Basis::Answer(0), &[1])];
    assert_eq!(found(replaced(), again(vec![seen(2, Some(1))])), []);
    assert_eq!(
        found(replaced(), again(vec![seen(7, Some(0)), seen(2, Some(1))])),
        [],
        "the other try is back"
    );
}
