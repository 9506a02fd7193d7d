use crate::nemesis::history::{Bucket, Event, Get, Outcome, Put, Replaces, Run, VERSION, Value, WriteId};
use crate::nemesis::judge::{Rule, judge};

/// A history of one key that is written by hand; each operation ends before the next begins, unless it says otherwise.
struct Story {
    events: Vec<Event>,
    now: u64,
}

/// What a test says of a put.
struct Said {
    put: Put,
}

impl Said {
    fn ended(mut self, outcome: Outcome) -> Self {
        self.put.outcome = outcome;
        if outcome != Outcome::Applied {
            (self.put.dot, self.put.owners, self.put.stand_ins) = (None, 0, 0);
        }
        self
    }

    fn by(mut self, owners: usize, stand_ins: usize) -> Self {
        (self.put.owners, self.put.stand_ins) = (owners, stand_ins);
        self
    }

    fn until(mut self, end_us: u64) -> Self {
        self.put.end_us = end_us;
        self
    }

    fn deletes(mut self) -> Self {
        self.put.delete = true;
        self
    }
}

fn put(write: WriteId, replaces: Replaces) -> Said {
    Said {
        put: Put {
            write,
            client: 0,
            entry: None,
            bucket: "b".into(),
            key: "k".into(),
            delete: false,
            replaces,
            begin_us: 0,
            end_us: 0,
            outcome: Outcome::Applied,
            error: None,
            dot: Some(format!("dot {write}")),
            owners: 2,
            stand_ins: 0,
            w: 2,
            owners_read: 2,
        },
    }
}

fn blind(write: WriteId) -> Said {
    put(write, Replaces::Context(vec![]))
}

fn after(write: WriteId, seen: &[WriteId]) -> Said {
    put(write, Replaces::Context(seen.to_vec()))
}

fn over(write: WriteId, found: &[WriteId]) -> Said {
    put(write, Replaces::Overwrite(Some(found.to_vec())))
}

fn over_unknown(write: WriteId) -> Said {
    put(write, Replaces::Overwrite(None)).ended(Outcome::Indeterminate)
}

impl Story {
    fn new(by_stamp: bool) -> Self {
        let bucket = Bucket { name: "b".into(), replicas: 3, by_stamp, sloppy: true };
        let run = Run {
            version: VERSION,
            release: String::new(),
            scenario: String::new(),
            seed: 0,
            nodes: 5,
            faults_begin_us: 0,
            faults_end_us: 0,
            buckets: vec![bucket],
        };
        Story { events: vec![Event::Run(run)], now: 0 }
    }

    fn put(mut self, mut said: Said) -> Self {
        said.put.begin_us = self.now + 1;
        said.put.end_us = said.put.end_us.max(self.now + 2);
        self.now += 2;
        self.events.push(Event::Put(said.put));
        self
    }

    fn later(mut self, time_us: u64) -> Self {
        self.now += time_us;
        self
    }

    fn get_by(mut self, owners: usize, shown: Option<&[WriteId]>, last: bool) -> Self {
        let value = |write: &WriteId| Value { write: Some(*write), dot: format!("dot {write}") };
        self.events.push(Event::Get(Get {
            client: 0,
            entry: None,
            bucket: "b".into(),
            key: "k".into(),
            begin_us: self.now + 1,
            end_us: self.now + 2,
            owners,
            last,
            values: shown.map(|shown| shown.iter().map(value).collect()),
            error: None,
        }));
        self.now += 2;
        self
    }

    fn get(self, shown: &[WriteId]) -> Self {
        self.get_by(2, Some(shown), false)
    }

    fn last(self, shown: &[WriteId]) -> Self {
        self.get_by(3, Some(shown), true)
    }

    #[track_caller]
    fn passes(self) {
        let violations = judge(&self.events);
        assert!(violations.is_empty(), "{violations:?}");
    }

    #[track_caller]
    fn breaks(self, rule: Rule) {
        let violations = judge(&self.events);
        assert!(violations.iter().any(|violation| violation.rule == rule), "{violations:?}");
    }
}

fn story() -> Story {
    Story::new(false)
}

#[test]
fn a_write_that_is_shown_or_was_replaced_is_not_lost() {
    story().put(blind(1)).put(after(2, &[1])).put(blind(3)).get(&[2, 3]).last(&[2, 3]).passes();
    story().put(blind(1)).put(over(2, &[1])).last(&[2]).passes();
}

#[test]
fn an_acknowledged_write_that_is_not_there_in_the_end_is_lost() {
    story().put(blind(1)).last(&[]).breaks(Rule::NoWriteLost);
    story().put(blind(1)).put(blind(2)).last(&[2]).breaks(Rule::NoWriteLost);
    // What replaced something else did not replace this.
    story().put(blind(1)).put(blind(2)).put(after(3, &[1])).last(&[3]).breaks(Rule::NoWriteLost);
    story().put(blind(1)).put(after(2, &[1]).ended(Outcome::NotApplied)).last(&[]).breaks(Rule::NoWriteLost);
}

#[test]
fn a_write_that_only_stand_ins_acknowledged_is_owed_in_the_end() {
    story().put(blind(1).by(0, 2)).get(&[]).last(&[1]).passes();
    story().put(blind(1).by(0, 2)).last(&[]).breaks(Rule::NoWriteLost);
}

#[test]
fn replacement_goes_through_writes_that_are_not_shown_any_more() {
    // 2 is of unknown end, was seen, and replaced 1; 3 replaced 2.
    let chain = || story().put(blind(1)).put(after(2, &[1]).ended(Outcome::Indeterminate)).get(&[2]);
    chain().put(after(3, &[2])).last(&[3]).passes();
    // Through an overwrite of unknown end, which may have found what began after its client gave up, but not what began after it was seen.
    story().put(blind(1)).put(over_unknown(2)).last(&[2]).passes();
    story().put(over_unknown(2)).put(blind(1)).last(&[2]).passes();
    story().put(over_unknown(2)).get(&[2]).put(blind(1)).last(&[2]).breaks(Rule::NoWriteLost);
}

#[test]
fn writes_of_unknown_end_may_be_there_or_not_and_refused_ones_must_not() {
    story().put(blind(1).ended(Outcome::Indeterminate)).last(&[]).passes();
    story().put(blind(1).ended(Outcome::Indeterminate)).last(&[1]).passes();
    story().put(blind(1).ended(Outcome::NotApplied)).get(&[1]).breaks(Rule::NotAppliedStaysAway);
}

#[test]
fn a_get_of_owners_that_met_the_write_shows_it() {
    story().put(blind(1)).get(&[]).last(&[1]).breaks(Rule::ReadsAreRegular);
    // It was still under way.
    story().put(blind(1).until(100)).get(&[]).passes();
    // The stand-in that answered, or acknowledged, may be another.
    story().put(blind(1)).get_by(1, Some(&[]), false).passes();
    story().put(blind(1).by(1, 1)).get(&[]).passes();
    // All three owners have it, so that one is enough.
    story().put(blind(1).by(3, 0)).get_by(1, Some(&[]), false).breaks(Rule::ReadsAreRegular);
    // A failed get shows nothing, and says nothing.
    story().put(blind(1)).get_by(0, None, false).passes();
}

#[test]
fn what_was_replaced_or_deleted_does_not_come_back() {
    story().put(blind(1)).put(after(2, &[1])).get(&[1]).breaks(Rule::NothingComesBack);
    story().put(blind(1)).put(after(2, &[1]).deletes()).last(&[]).passes();
    story().put(blind(1)).put(after(2, &[1]).deletes()).last(&[1]).breaks(Rule::NothingComesBack);
    // Whether the delete happened is unknown.
    let unknown = || story().put(blind(1)).put(after(2, &[1]).deletes().ended(Outcome::Indeterminate));
    unknown().last(&[1]).passes();
    unknown().last(&[]).passes();
    // A delete of something else explains nothing.
    let other = story().put(blind(1)).put(blind(2)).put(after(3, &[2]).deletes());
    other.last(&[]).breaks(Rule::NoWriteLost);
}

#[test]
fn an_overwrite_replaces_what_was_acknowledged_before() {
    story().put(blind(1)).put(over(2, &[])).last(&[1, 2]).breaks(Rule::OverwritesAreRegular);
    let mut with_stand_in = over(2, &[]);
    with_stand_in.put.owners_read = 1;
    story().put(blind(1)).put(with_stand_in).last(&[1, 2]).passes();
    // A delete of long ago has left the stores, and what it replaced with it.
    let deleted = || story().put(blind(1)).put(over(2, &[1]).deletes());
    deleted().later(5_000_000).put(over(3, &[])).last(&[3]).passes();
    deleted().put(over(3, &[])).last(&[3]).breaks(Rule::OverwritesAreRegular);
    // What it names has replaced the rest, although it no longer says so: its own past has gone with epochs.
    story().put(blind(1)).put(over(2, &[1])).put(over(3, &[2])).last(&[3]).passes();
}

#[test]
fn values_that_nobody_put_there_are_strange() {
    story().get(&[7]).breaks(Rule::NoStrangeValue);
    story().get(&[1]).put(blind(1)).breaks(Rule::NoStrangeValue);
    story().put(blind(1)).put(after(2, &[1]).deletes()).get(&[2]).breaks(Rule::NoStrangeValue);
    let mut foreign = story().get(&[1]);
    let Some(Event::Get(get)) = foreign.events.last_mut() else { panic!("the last event is a get") };
    get.values = Some(vec![Value { write: None, dot: "dot 1".into() }]);
    foreign.breaks(Rule::NoStrangeValue);
}

#[test]
fn values_that_are_shown_together_are_concurrent() {
    let both = story().put(blind(1)).put(after(2, &[1]).until(100));
    both.get(&[1, 2]).breaks(Rule::SiblingsAreConcurrent);
    story().put(blind(1)).get(&[1, 1]).breaks(Rule::SiblingsAreConcurrent);
    Story::new(true).put(blind(1)).put(blind(2)).get(&[1, 2]).breaks(Rule::SiblingsAreConcurrent);
}

#[test]
fn a_dot_names_one_write_and_a_write_has_one_dot() {
    let mut doubled = blind(2);
    doubled.put.dot = Some("dot 1".into());
    story().put(blind(1)).put(doubled).last(&[1]).breaks(Rule::DotsAreUnique);
    let mut again = blind(1);
    again.put.dot = Some("dot 9".into());
    story().put(again).get(&[1]).breaks(Rule::DotsAreUnique);
}

#[test]
fn an_acknowledgement_needs_enough_nodes() {
    story().put(blind(1).by(1, 0)).last(&[1]).breaks(Rule::EnoughAcknowledge);
}

#[test]
fn where_stamps_decide_some_write_is_there_and_nothing_that_was_replaced() {
    let by_stamp = || Story::new(true);
    by_stamp().put(blind(1)).put(blind(2)).get(&[1]).last(&[2]).passes();
    by_stamp().put(blind(1)).put(blind(2)).last(&[]).breaks(Rule::NoWriteLost);
    by_stamp().put(blind(1)).put(blind(2)).put(after(3, &[1]).deletes()).last(&[]).passes();
    by_stamp().put(blind(1)).put(after(2, &[1])).last(&[1]).breaks(Rule::NothingComesBack);
}

#[test]
fn what_cannot_be_read_in_the_end_is_told() {
    story().put(blind(1)).get_by(0, None, true).breaks(Rule::ReadableInTheEnd);
}

#[test]
fn a_history_comes_back_from_its_file_and_is_judged_alike() {
    let lost = story().put(blind(1)).put(over(2, &[1])).put(over_unknown(3)).get(&[2]).last(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    crate::nemesis::history::write(file.path(), &lost.events).unwrap();
    let read = crate::nemesis::history::read(file.path()).unwrap();
    assert_eq!(read, lost.events);
    assert_eq!(judge(&read), judge(&lost.events));
    assert!(!judge(&read).is_empty());
}
