use crate::bucket::Quorum;
use crate::causality::ContextToken;
use crate::command::{
    Attempt, Content, Expires, Get, GetMany, Put, PutMany, ReadOptions, ReadRepair, Replace, Scan,
    ScanPosition, WriteOptions,
};
use crate::ids::{ClusterId, Incarnation};
use crate::record::WriteId;
use crate::testing::simulation::history::{
    Basis, ClockMark, History, KeyHistory, Lifetime, Write, WriteOutcome, Written, encode,
};
use crate::testing::simulation::keys::SimulatedKey;
use crate::testing::simulation::node::WALL_START_MS;
use crate::testing::simulation::plan::{Plan, Rates};
use crate::testing::simulation::random::Random;
use crate::wire::{Header, RequestBody};

/// A client: makes one operation after the other and remembers, for each key, the last contexts that it was given.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) contexts: Vec<Vec<(ContextToken, Basis)>>,
    /// The number of its last operation.
    pub(super) operation: u32,
    pub(super) current: Option<Current>,
    /// A put whose end nobody knows and that it tries again: the request, the key, and the place of the write.
    pub(super) pending: Option<(Put, usize, usize)>,
}

/// The operation that a client waits for.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) start_us: u64,
    pub(super) what: What,
    pub(super) r: usize,
    /// The put, if it can be tried again.
    pub(super) put: Option<Put>,
    /// The clock of the node that was asked, once that is known.
    pub(super) mark: Option<ClockMark>,
}

#[derive(Debug)]
pub(super) enum What {
    /// The keys that are read.
    Gets(Vec<usize>),
    /// The keys that are written and the place of the write among those of the key.
    Puts(Vec<(usize, usize)>),
    /// One key of the bucket that is scanned, where the scan begins, and whether it is one of values.
    Scan(usize, ScanPosition, bool),
}

/// One operation in so many that is no get is a scan.
const SCAN_EVERY: u64 = 12;
/// Contexts that a client remembers for a key.
const CONTEXTS_MAX: usize = 3;
/// How long after its deadline a client waits for an answer.
const PATIENCE_US: u64 = 20_000;
/// How late, after the deadline as the client reckons it, the read inside an overwrite may be made: by then the request arrived, over the
/// slowest link and at a node that was paused for as long as any.
const LATENESS_US: u64 = 700_000;

/// What one client does next.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) body: RequestBody,
    pub(super) current: Current,
    pub(super) gives_up_us: u64,
}

impl Client {
    pub(super) fn new(keys: usize) -> Self {
        Client { contexts: vec![Vec::new(); keys], operation: 0, current: None, pending: None }
    }

    pub(super) fn remember(&mut self, key: usize, token: ContextToken, basis: Basis) {
        let contexts = &mut self.contexts[key];
        if contexts.len() == CONTEXTS_MAX {
            contexts.remove(0);
        }
        contexts.push((token, basis));
    }

    pub(super) fn choose(
        &mut self,
        now_us: u64,
        plan: &Plan,
        keys: &[SimulatedKey],
        history: &mut History,
        random: &mut Random,
    ) -> Chosen {
        if let Some(pending) = self.pending.take() {
            return again(pending, now_us, history);
        }
        let first = random.index(keys.len());
        let mut chosen = vec![first];
        if random.below(10) == 0 {
            let alike = |key: &usize| keys[*key].bucket == keys[first].bucket && *key != first;
            chosen.extend((0..keys.len()).filter(alike));
        }
        let many = chosen.len() > 1;
        let key = &keys[first];
        let bucket = &plan.buckets[key.bucket];
        let (r, w) = (draw_r(key, random), draw_w(key, bucket.w_min, random));
        let timeout_ms = random.between(20, 80) as u32;
        let bucket = bucket.name.to_string();
        let gives_up_us = now_us + u64::from(timeout_ms) * 1_000 + PATIENCE_US;
        if random.chance(plan.rates.gets) {
            let options = ReadOptions {
                repair: ReadRepair::Background,
                r: Some(Quorum::Count(r as u8)),
                timeout_ms: Some(timeout_ms),
                ..ReadOptions::default()
            };
            let names: Vec<_> = chosen.iter().map(|key| keys[*key].key.clone()).collect();
            let body = match names.into_iter().next() {
                Some(key) if !many => RequestBody::Get(Get { bucket, key, options }),
                _ => {
                    let keys = chosen.iter().map(|key| keys[*key].key.clone()).collect();
                    RequestBody::GetMany(GetMany { bucket, keys, options })
                }
            };
            let current = Current { start_us: now_us, what: What::Gets(chosen), r, put: None, mark: None };
            return Chosen { body, current, gives_up_us };
        }
        if random.below(SCAN_EVERY) == 0 {
            let from = self.draw_position(first, keys, random);
            let scan = Scan {
                from: from.clone(),
                limit: *random.pick(&[1, 1, 1, 2, 4]),
                values: random.below(3) > 0,
                r: Some(Quorum::Count(r as u8)),
                timeout_ms: Some(timeout_ms),
                ..Scan::new(bucket)
            };
            let what = What::Scan(first, from, scan.values);
            let current = Current { start_us: now_us, what, r, put: None, mark: None };
            return Chosen { body: RequestBody::Scan(scan), current, gives_up_us };
        }
        let mut options = WriteOptions {
            w: Some(Quorum::Count(w as u8)),
            r: Some(Quorum::Count(r as u8)),
            timeout_ms: Some(timeout_ms),
            ..WriteOptions::default()
        };
        let mut puts = Vec::with_capacity(chosen.len());
        let mut places = Vec::with_capacity(chosen.len());
        for place in chosen {
            let (is_delete, basis, replace) = self.draw_replace(place, &plan.rates, random);
            let is_overwrite = basis == Basis::Overwrite;
            let what =
                draw_what((is_delete, is_overwrite), now_us, &history.keys[place], &plan.rates, random);
            let write = history.begin(place, |id| Write {
                id,
                what,
                is_retried: false,
                start_us: now_us,
                end_us: u64::MAX,
                reads_until_us: gives_up_us + LATENESS_US,
                basis,
                w,
                r,
                outcome: WriteOutcome::Indeterminate,
                kept_for: Vec::new(),
            });
            let content = match what {
                Written::Tombstone => Content::Tombstone,
                Written::Expiry(Lifetime { at_ms, .. }) => Content::Same(Expires::AtMs(at_ms)),
                Written::Value(lifetime) => {
                    let expires = lifetime.map_or(Expires::Never, |lifetime| Expires::AtMs(lifetime.at_ms));
                    Content::Value(encode(history.keys[place].writes[write].id), expires)
                }
            };
            puts.push((keys[place].key.clone(), content, replace));
            places.push((place, write));
        }
        let mut current = Current { start_us: now_us, what: What::Puts(places), r, put: None, mark: None };
        let body = match puts.len() {
            1 => {
                let (key, content, replace) = puts.remove(0);
                let has_id = !matches!(content, Content::Same(_)) && random.chance(plan.rates.retried);
                if has_id {
                    options.attempt = Attempt::First(WriteId(u128::from(random.bits()).to_le_bytes()));
                }
                let put = Put { bucket, key, content, replace, options };
                current.put = has_id.then(|| put.clone());
                RequestBody::Put(put)
            }
            _ => RequestBody::PutMany(PutMany { bucket, puts, options }),
        };
        Chosen { body, current, gives_up_us }
    }

    /// Where a scan begins: at the beginning of everything, at a key, or behind one.
    fn draw_position(&self, key: usize, keys: &[SimulatedKey], random: &mut Random) -> ScanPosition {
        let SimulatedKey { key, token, .. } = &keys[key];
        match random.below(4) {
            0 | 1 => ScanPosition::default(),
            2 => ScanPosition::at(*token),
            _ => ScanPosition { token: *token, after: Some(key.clone()) },
        }
    }

    fn draw_replace(&self, key: usize, rates: &Rates, random: &mut Random) -> (bool, Basis, Replace) {
        let is_delete = random.chance(rates.deletes);
        let kind = random.below(1_000_000) as u32;
        if kind < rates.blind_puts && !is_delete {
            return (false, Basis::Nothing, Replace::Nothing);
        }
        let contexts = &self.contexts[key];
        if contexts.is_empty() || kind < rates.blind_puts + rates.overwrites {
            return (is_delete, Basis::Overwrite, Replace::Overwrite);
        }
        // Mostly the newest: clients that go on with old contexts make siblings.
        let place = if random.below(4) > 0 { contexts.len() - 1 } else { random.index(contexts.len()) };
        let (token, basis) = &contexts[place];
        (is_delete, *basis, Replace::Context(token.clone()))
    }
}

/// The same put as another try.
fn again((mut put, key, place): (Put, usize, usize), now_us: u64, history: &mut History) -> Chosen {
    if let Attempt::First(id) = put.options.attempt {
        put.options.attempt = Attempt::Again(id);
    }
    let timeout_ms = put.options.timeout_ms.unwrap_or_default();
    let gives_up_us = now_us + u64::from(timeout_ms) * 1_000 + PATIENCE_US;
    let write = &mut history.keys[key].writes[place];
    write.is_tried_again(gives_up_us + LATENESS_US);
    let what = What::Puts(vec![(key, place)]);
    let current = Current { start_us: now_us, what, r: write.r, put: None, mark: None };
    Chosen { body: RequestBody::Put(put), current, gives_up_us }
}

/// What a put writes: most values live for ever, some for a part of the run, and some beyond it.
fn draw_what(
    (is_delete, is_overwrite): (bool, bool),
    now_us: u64,
    key: &KeyHistory,
    rates: &Rates,
    random: &mut Random,
) -> Written {
    let (is_change, expires) = (random.chance(rates.changes), random.chance(rates.expiring));
    let after_ms = *random.pick(&[5, 20, 60, 200, 3_600_000]) + random.below(20);
    let taken =
        |at_ms: &u64| key.writes.iter().filter_map(Write::lifetime).any(|lifetime| lifetime.at_ms == *at_ms);
    let asked = || {
        let first_ms = WALL_START_MS as u64 + now_us / 1_000 + after_ms;
        Lifetime::asked((first_ms..).find(|at_ms| !taken(at_ms)).unwrap_or(first_ms))
    };
    match is_delete {
        true => Written::Tombstone,
        false if is_change && is_overwrite => Written::Expiry(asked()),
        false => Written::Value(expires.then(asked)),
    }
}

/// Mostly a majority, so that most pairs of a get and a put meet.
fn draw_r(key: &SimulatedKey, random: &mut Random) -> usize {
    let n = key.owners.len();
    *random.pick(&[n / 2 + 1, n / 2 + 1, n / 2 + 1, n / 2 + 1, 1, n])
}

fn draw_w(key: &SimulatedKey, w_min: u8, random: &mut Random) -> usize {
    let n = key.owners.len();
    let least = usize::from(w_min).min(n);
    let w = *random.pick(&[n / 2 + 1, n / 2 + 1, n / 2 + 1, n / 2 + 1, least, n]);
    w.max(least)
}

/// What stands in front of a client's requests.
pub(super) fn client_header(cluster: ClusterId) -> Header {
    Header {
        cluster,
        layout: 0,
        incarnation: Incarnation(0),
        clock: crate::causality::Stamp::default(),
        buckets: 0,
        trace: crate::ids::TraceId::NONE,
    }
}
