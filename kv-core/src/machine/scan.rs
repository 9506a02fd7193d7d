use smallvec::SmallVec;

use crate::command::{GetAnswer, ScanAnswer, ScanEntry, ScanPosition};
use crate::error::{Error, ErrorKind};
use crate::ids::{Token, TraceId};
use crate::key::Key;
use crate::machine::outbox::Outbox;
use crate::machine::prepare::get_in_scan;
use crate::machine::read_quorum::ReadQuorum;
use crate::machine::show::{ShowRequest, Shown};
use crate::machine::step::Step;
use crate::machine::{CallToken, Effect, PreparedGet, PreparedScan};
use crate::mutants::{self, Mutant};
use crate::record::EncodedRecord;
use crate::tree::digest;
use crate::wire::{RangeAnswer, RangeItem, RangePage, RangeState, RequestBody};

/// Coordinates one page of a scan: asks R owners what lies in the range, shows the keys on which they agree, and gets the others.
#[derive(Debug)]
pub(super) struct ScanWork {
    scan: PreparedScan,
    quorum: ReadQuorum,
    pages: SmallVec<[RangePage; 4]>,
    phase: Phase,
    /// The keys of the page in their order, where they lie, and what is known of them.
    found: Vec<(Token, Key, Found)>,
    next: Option<ScanPosition>,
}

/// So many of the keys on which owners do not agree are got at a time: a page of them must not fill the node.
const GETS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for enough owners.
    Collecting,
    /// Waits for the keys on which they do not agree.
    Getting,
    /// The records are being decoded.
    Showing,
}

#[derive(Debug)]
enum Found {
    /// All owners that were asked have this record.
    Agreed(EncodedRecord),
    /// They have records with values; no more is wanted.
    Live,
    /// They do not agree: the key is got.
    Unsure,
    /// This is what was got.
    Got(GetAnswer),
}

/// What a step of a scan comes to.
#[derive(Debug)]
pub(super) enum ScanStep {
    Wait,
    /// Get these keys and come back.
    Get(Vec<Result<PreparedGet, Error>>),
    End(Result<ScanAnswer, Error>),
}

impl ScanWork {
    pub(super) fn new(scan: PreparedScan) -> Self {
        let quorum = ReadQuorum::new(scan.needed, scan.owners.len());
        ScanWork {
            scan,
            quorum,
            pages: SmallVec::new(),
            phase: Phase::Collecting,
            found: Vec::new(),
            next: None,
        }
    }

    pub(super) fn trace(&self) -> TraceId {
        self.scan.trace
    }

    /// One owner sends records, this node itself if it is one; of the others digests are enough.
    pub(super) fn begin<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        let mut records = self.scan.values;
        let own = self.scan.owners.iter().position(|owner| *owner == step.view.node());
        if let Some(own) = own {
            self.quorum.ask_one(own as u8);
            self.ask(step, own as u8, std::mem::take(&mut records), outbox);
        }
        self.ask_more(step, self.scan.needed - usize::from(own.is_some()), records, outbox);
    }

    fn ask_more<T>(&mut self, step: Step<'_>, most: usize, mut records: bool, outbox: &mut Outbox<'_, T>) {
        for index in self.quorum.ask(most, |index| Some(outbox.rank(self.scan.owners.get(index)))) {
            self.ask(step, index, std::mem::take(&mut records), outbox);
        }
    }

    fn ask<T>(&self, step: Step<'_>, index: u8, records: bool, outbox: &mut Outbox<'_, T>) {
        let Some(owner) = self.scan.owners.get(usize::from(index)) else { return };
        let item = RangeItem {
            bucket: self.scan.bucket.id,
            repairs: false,
            from: self.scan.from.clone(),
            last: self.scan.last,
            prefix: self.scan.prefix.clone(),
            entries_max: self.scan.limit,
            records,
        };
        outbox.effect(if *owner == step.view.node() {
            Effect::ReadRange((step.op, index), item)
        } else {
            Effect::Call {
                peer: *owner,
                body: RequestBody::ReadRange(item),
                timeout_us: step.timeout_us(),
                token: CallToken::Range(step.op, index),
                trace: self.scan.trace,
            }
        });
    }

    pub(super) fn answer<T>(
        &mut self,
        step: Step<'_>,
        index: u8,
        answer: RangeAnswer,
        outbox: &mut Outbox<'_, T>,
    ) -> ScanStep {
        match answer {
            RangeAnswer::Page(page) if self.quorum.count(index) => self.pages.push(page),
            RangeAnswer::Page(_) => {}
            RangeAnswer::Refused(kind) => self.quorum.refuse(index, kind),
        }
        if self.phase != Phase::Collecting {
            return ScanStep::Wait;
        }
        if self.quorum.is_reached() {
            return self.merge(step, outbox);
        }
        if self.quorum.is_hopeless() {
            return self.fail(ErrorKind::Unavailable, "too few replicas can answer the scan");
        }
        self.ask_more(step, self.quorum.missing(), self.scan.values, outbox);
        ScanStep::Wait
    }

    /// Asks one more owner, because those that were asked are slow.
    pub(super) fn hedge<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) {
        if self.phase == Phase::Collecting {
            for owner in self.quorum.waiting_for(&self.scan.owners) {
                outbox.missed(owner);
            }
            self.ask_more(step, 1, self.scan.values, outbox);
        }
    }

    pub(super) fn deadline(&self) -> ScanStep {
        self.fail(ErrorKind::DeadlineExceeded, "the scan's deadline passed before enough replicas answered")
    }

    fn fail(&self, kind: ErrorKind, message: &str) -> ScanStep {
        ScanStep::End(Err(self.quorum.shortfall(kind, message, &self.scan.owners)))
    }

    /// Goes through the keys up to where every page goes. A write that enough owners acknowledged is in one of them.
    fn merge<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> ScanStep {
        let pages = std::mem::take(&mut self.pages);
        let furthest =
            mutants::on(Mutant::ScanGoesAsFarAsAny) && pages.iter().any(|page| page.next.is_none());
        let ends = pages.iter().filter_map(|page| page.next.as_ref());
        let mut end = ends.min().filter(|_| !furthest).cloned();
        let owners = pages.len();
        let mut states: Vec<(Token, Key, RangeState)> = pages
            .into_iter()
            .flat_map(|page| page.entries)
            .map(|entry| (entry.token, entry.key, entry.state))
            .filter(|(token, key, _)| end.as_ref().is_none_or(|end| end.is_behind(*token, key)))
            .collect();
        states.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut states = states.into_iter().peekable();
        let mut before: Option<(Token, Key)> = None;
        while let Some((token, key, first)) = states.next() {
            if self.found.len() == self.scan.limit as usize {
                // Replicas that differ have more keys between them than any of them.
                let after = before.filter(|(last, _)| *last == token).map(|(_, key)| key);
                end = Some(ScanPosition { token, after });
                break;
            }
            before = Some((token, key.clone()));
            let mut of_key: SmallVec<[RangeState; 4]> = SmallVec::new();
            of_key.push(first);
            while let Some((_, _, state)) = states.next_if(|(_, other, _)| *other == key) {
                of_key.push(state);
            }
            if let Some(found) = self.judge(step, &key, of_key, owners) {
                self.found.push((token, key, found));
            }
        }
        self.next = end.or_else(|| self.scan.behind.clone());
        self.get_more(step, outbox)
    }

    /// Gets some of the keys on which the owners do not agree, or shows the page if there are none left.
    fn get_more<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> ScanStep {
        let unsure = self.found.iter().filter(|(_, _, found)| matches!(found, Found::Unsure));
        let gets: Vec<_> = unsure
            .take(GETS_MAX)
            .map(|(token, key, _)| {
                Ok(get_in_scan(step.view, &self.scan, (*token, key.clone()), step.timeout_us()))
            })
            .collect();
        if gets.is_empty() {
            return self.show(step, outbox);
        }
        self.phase = Phase::Getting;
        ScanStep::Get(gets)
    }

    /// What the owners' states of one key come to; nothing for one that has no value.
    fn judge(
        &self,
        step: Step<'_>,
        key: &Key,
        states: SmallVec<[RangeState; 4]>,
        owners: usize,
    ) -> Option<Found> {
        let disagree = states.len() < owners;
        let mut agreed: Option<(u64, bool)> = None;
        let mut record = None;
        for state in states {
            let (digest, live) = match state {
                RangeState::Unsure => return Some(Found::Unsure),
                RangeState::Digest(digest, until_ms) => (digest, until_ms > step.now.wall_ms),
                RangeState::Record(bytes) => {
                    let bucket = self.scan.bucket.id;
                    let Ok(checked) = EncodedRecord::check(bytes, bucket, key) else {
                        return Some(Found::Unsure);
                    };
                    let Ok(dots) = checked.dots() else { return Some(Found::Unsure) };
                    record = Some(checked);
                    (digest(step.view.secret(), bucket, key.as_bytes(), &dots), true)
                }
            };
            match agreed {
                Some((other, _)) if other != digest && !mutants::on(Mutant::ScanTrustsAnyReplica) => {
                    return Some(Found::Unsure);
                }
                Some((_, others)) => agreed = Some((digest, others && live)),
                None => agreed = Some((digest, live)),
            }
        }
        match (agreed, record) {
            (_, _) if disagree => Some(Found::Unsure),
            (Some((_, false)), _) => None,
            (Some(_), Some(record)) => Some(Found::Agreed(record)),
            (Some(_), None) if self.scan.values => Some(Found::Unsure),
            (Some(_), None) => Some(Found::Live),
            (None, _) => None,
        }
    }

    /// The keys on which the owners did not agree were got.
    pub(super) fn got<T>(
        &mut self,
        step: Step<'_>,
        results: Vec<Result<GetAnswer, Error>>,
        outbox: &mut Outbox<'_, T>,
    ) -> ScanStep {
        let unsure = self.found.iter_mut().filter(|(_, _, found)| matches!(found, Found::Unsure));
        for ((_, _, found), result) in unsure.zip(results) {
            match result {
                Ok(answer) => *found = Found::Got(answer),
                Err(error) => return ScanStep::End(Err(error)),
            }
        }
        self.get_more(step, outbox)
    }

    fn show<T>(&mut self, step: Step<'_>, outbox: &mut Outbox<'_, T>) -> ScanStep {
        self.phase = Phase::Showing;
        let agreed = self.found.iter().filter_map(|(_, key, found)| match found {
            Found::Agreed(record) => Some((key.clone(), record.clone())),
            _ => None,
        });
        let records: Vec<_> = agreed.collect();
        if records.is_empty() {
            return self.end(Vec::new());
        }
        let bucket = self.scan.bucket.clone();
        let (secret, wall_ms) = (*step.view.secret(), step.now.wall_ms);
        let request = ShowRequest { op: step.op, bucket, records, secret, wall_ms };
        outbox.effect(Effect::Show(Box::new(request)));
        ScanStep::Wait
    }

    pub(super) fn shown(&mut self, result: Result<Vec<Shown>, Error>) -> ScanStep {
        match result {
            Ok(shown) => self.end(shown),
            Err(error) => ScanStep::End(Err(error)),
        }
    }

    fn end(&mut self, shown: Vec<Shown>) -> ScanStep {
        let mut shown = shown.into_iter();
        let wants_values = self.scan.values;
        let entries = std::mem::take(&mut self.found).into_iter().filter_map(|(_, key, found)| {
            let (values, context) = match found {
                Found::Agreed(_) => shown.next()?,
                Found::Got(answer) => (answer.values, answer.context),
                Found::Live => {
                    return Some(ScanEntry { key, values: Vec::new(), context: Default::default() });
                }
                Found::Unsure => return None,
            };
            match values.is_empty() {
                true => None,
                false if wants_values => Some(ScanEntry { key, values, context }),
                false => Some(ScanEntry { key, values: Vec::new(), context: Default::default() }),
            }
        });
        let entries = entries.collect();
        ScanStep::End(Ok(ScanAnswer { entries, next: self.next.take() }))
    }
}
