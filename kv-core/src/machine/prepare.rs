//! Checks commands at the door, before they touch any state: bounds, buckets, consistency, contexts.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::bucket::{Quorum, QuorumMode};
use crate::causality::{Context, PeerClocks};
use crate::command::{
    Attempt, Content, Get, GetMany, Put, PutMany, ReadOptions, ReadRepair, Replace, Scan, ScanPosition,
    WriteOptions,
};
use crate::error::{Error, ErrorKind};
use crate::ids::{Incarnation, NodeId, PartitionId, Token, TraceId};
use crate::key::Key;
use crate::machine::draft::{Inherits, draft};
use crate::record::Draft;
use crate::time::Now;
use crate::view::{Bucket, View};
use crate::wire::Forward;

/// A key, where it lies and who owns it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The key.
    pub key: Key,
    /// Where it lies.
    pub token: Token,
    /// Its owners in the order of preference.
    pub owners: SmallVec<[NodeId; 4]>,
    /// Whether nodes that stand in for absent owners count.
    pub is_sloppy: bool,
    /// Whether replicas are asked for what they have, and not for their votes.
    pub repairs: bool,
    /// Whether a damaged record counts as none, and one that is not whole as what is in it: this node lacks something itself, and takes what there is.
    pub takes_parts: bool,
    /// What the operation belongs to, if that is followed.
    pub trace: TraceId,
}

/// A get that passed the door.
#[derive(Debug, Clone)]
pub struct PreparedGet {
    pub(super) target: Target,
    pub(super) needed: usize,
    pub(super) timeout_us: u64,
    pub(super) explain: bool,
    pub(super) repair: ReadRepair,
    /// Whether only some of the owners are asked, whose damages are not healed by them alone.
    pub(super) is_partial: bool,
}

/// A put that passed the door.
#[derive(Debug, Clone)]
pub struct PreparedPut {
    pub(super) target: Target,
    pub(super) draft: Draft,
    pub(super) inherits: Inherits,
    pub(super) basis: Basis,
    pub(super) needed: usize,
    pub(super) options: WriteOptions,
    pub(super) deadline_us: u64,
    /// Whether a peer handed it over.
    pub(super) is_forwarded: bool,
}

/// A scan that passed the door, and the part of its range that one set of nodes owns.
#[derive(Debug, Clone)]
pub struct PreparedScan {
    pub(super) bucket: Arc<Bucket>,
    pub(super) owners: SmallVec<[NodeId; 4]>,
    pub(super) from: ScanPosition,
    /// The last token of the part.
    pub(super) last: Token,
    /// Where the range goes on behind the part, if it does.
    pub(super) behind: Option<ScanPosition>,
    pub(super) prefix: Bytes,
    pub(super) limit: u32,
    pub(super) values: bool,
    pub(super) needed: usize,
    pub(super) timeout_us: u64,
    pub(super) trace: TraceId,
}

/// Where a put's context comes from.
#[derive(Debug, Clone)]
pub(super) enum Basis {
    /// From a read inside the operation that needs so many replicas.
    Read(usize),
    /// It is given, but a read that needs so many replicas looks first whether the put was made before.
    Sought(usize, Context),
    /// It is given.
    Given(Context),
}

impl PreparedGet {
    /// The key that is read.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same get as a part of `trace`.
    #[must_use]
    pub fn traced(mut self, trace: TraceId) -> Self {
        self.target.trace = trace;
        self
    }
}

impl PreparedPut {
    /// The key that is written.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same put as a part of `trace`.
    #[must_use]
    pub fn traced(mut self, trace: TraceId) -> Self {
        self.target.trace = trace;
        self
    }
}

impl PreparedScan {
    /// The same scan as a part of `trace`.
    #[must_use]
    pub fn traced(mut self, trace: TraceId) -> Self {
        self.trace = trace;
        self
    }
}

/// The same gets as parts of `trace`.
pub fn traced_gets(
    mut gets: Vec<Result<PreparedGet, Error>>,
    trace: TraceId,
) -> Vec<Result<PreparedGet, Error>> {
    for get in gets.iter_mut().flatten().filter(|_| trace != TraceId::NONE) {
        get.target.trace = trace;
    }
    gets
}

/// The same puts as parts of `trace`.
pub fn traced_puts(
    mut puts: Vec<Result<PreparedPut, Error>>,
    trace: TraceId,
) -> Vec<Result<PreparedPut, Error>> {
    for put in puts.iter_mut().flatten().filter(|_| trace != TraceId::NONE) {
        put.target.trace = trace;
    }
    puts
}

/// Checks a get.
///
/// # Errors
///
/// What is wrong with it; nothing was done.
pub fn get(view: &View, command: Get) -> Result<PreparedGet, Error> {
    let bucket = view.bucket(&command.bucket)?;
    one_get(view, bucket, command.key, &command.options)
}

/// Checks a get of many keys; each key that is refused keeps its place.
///
/// # Errors
///
/// What is wrong with the whole; nothing was done.
pub fn get_many(view: &View, command: GetMany) -> Result<Vec<Result<PreparedGet, Error>>, Error> {
    check_batch(view, command.keys.len())?;
    let bucket = view.bucket(&command.bucket)?;
    let gets = command.keys.into_iter().map(|key| one_get(view, bucket, key, &command.options));
    Ok(gets.collect())
}

/// Checks a scan, and takes the first part of its range that one set of nodes owns.
///
/// # Errors
///
/// What is wrong with it; nothing was done.
pub fn scan(view: &View, command: Scan) -> Result<PreparedScan, Error> {
    let Scan { bucket, mut from, mut last, prefix, limit, values, r, timeout_ms } = command;
    let bucket = view.bucket(&bucket)?;
    if prefix.len() > view.limits.key_bytes_max {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!(
                "no key can begin with {} bytes, {} are allowed",
                prefix.len(),
                view.limits.key_bytes_max
            ),
        ));
    }
    let partitioner = &*view.plugins.partitioner;
    if partitioner.is_ordered() && !prefix.is_empty() {
        from = from.max(ScanPosition::at(partitioner.token(&prefix)));
        last = end_of_prefix(&prefix).map_or(last, |end| last.min(partitioner.token(&end)));
    }
    let partitioning = view.layout.partitioning();
    let set = |token| {
        let mut owners: SmallVec<[NodeId; 4]> = SmallVec::from_slice(view.owners(bucket, token));
        owners.sort_unstable();
        owners
    };
    let owned = set(from.token);
    let later = partitioning.partition(from.token).0 + 1..partitioning.count();
    let behind = later
        .map(|partition| partitioning.first_token(PartitionId(partition)))
        .take_while(|first| *first <= last)
        .find(|first| set(*first) != owned);
    let owners = SmallVec::from_slice(view.owners(bucket, from.token));
    let needed = needed(r.unwrap_or(bucket.properties.r), "r", bucket, owners.len())?;
    Ok(PreparedScan {
        bucket: Arc::clone(bucket),
        owners,
        last: behind.map_or(last, |behind| Token(behind.0 - 1)),
        behind: behind.map(ScanPosition::at),
        from,
        prefix,
        limit: limit.clamp(1, view.limits.batch_keys_max as u32),
        values,
        needed,
        timeout_us: timeout_us(view, timeout_ms),
        trace: TraceId::NONE,
    })
}

/// The first key behind all that begin with `prefix`, if there is any.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// The get of a key that a scan came upon, however long the keys are that are let in now.
pub(super) fn get_in_scan(
    view: &View,
    scan: &PreparedScan,
    (token, key): (Token, Key),
    timeout_us: u64,
) -> PreparedGet {
    let target = target_at(view, &scan.bucket, token, key);
    PreparedGet {
        target,
        needed: scan.needed,
        timeout_us,
        explain: false,
        repair: ReadRepair::Background,
        is_partial: false,
    }
    .traced(scan.trace)
}

/// The get by which two owners of a key come to hold the same; of all its owners, if something of theirs has to be healed. With `takes_parts` what one of
/// the two has left of a damaged record is taken as it is.
pub(super) fn get_to_repair(
    view: &View,
    bucket: &Arc<Bucket>,
    (token, key): (Token, Key),
    pair: Option<[NodeId; 2]>,
    takes_parts: bool,
) -> PreparedGet {
    let mut target = target_at(view, bucket, token, key);
    target.is_sloppy = false;
    target.repairs = pair.is_some();
    target.takes_parts = takes_parts;
    let is_partial = pair.is_some();
    if let Some(pair) = pair {
        target.owners = SmallVec::from_slice(&pair);
    }
    PreparedGet {
        needed: target.owners.len(),
        target,
        timeout_us: view.limits.deadline_ms_default * 1_000,
        explain: false,
        repair: ReadRepair::Foreground,
        is_partial,
    }
}

/// Checks a put or delete.
///
/// # Errors
///
/// What is wrong with it; nothing was done.
pub fn put(view: &View, clocks: &PeerClocks, now: Now, command: Put) -> Result<PreparedPut, Error> {
    let bucket = view.bucket(&command.bucket)?;
    let what = (command.key, command.content, command.replace);
    one_put(view, clocks, now, bucket, what, &command.options)
}

/// Checks a put of many keys; each key that is refused keeps its place.
///
/// # Errors
///
/// What is wrong with the whole; nothing was done.
pub fn put_many(
    view: &View,
    clocks: &PeerClocks,
    now: Now,
    command: PutMany,
) -> Result<Vec<Result<PreparedPut, Error>>, Error> {
    check_batch(view, command.puts.len())?;
    if command.options.attempt != Attempt::Only {
        let message = "puts of many keys have no id together: put them one by one";
        return Err(Error::new(ErrorKind::InvalidPut, message));
    }
    let bucket = view.bucket(&command.bucket)?;
    let puts =
        command.puts.into_iter().map(|what| one_put(view, clocks, now, bucket, what, &command.options));
    Ok(puts.collect())
}

/// Checks a put that a peer handed over to this node in its life `incarnation`.
///
/// # Errors
///
/// What is wrong with it, [`ErrorKind::NotOwner`] among others; nothing was done.
pub fn forwarded(
    view: &View,
    clocks: &PeerClocks,
    now: Now,
    incarnation: Incarnation,
    forward: Forward,
) -> Result<PreparedPut, Error> {
    if forward.receiver == Incarnation(0) || forward.receiver != incarnation {
        let message = "the put was meant for another life of this node's store";
        return Err(Error::new(ErrorKind::StaleIncarnation, message));
    }
    let bucket = view
        .bucket_by_id(forward.bucket)
        .ok_or_else(|| Error::new(ErrorKind::UnknownBucket, "the bucket is not known here (yet)"))?;
    let Forward { key, draft, context, options, .. } = forward;
    let target = target(view, bucket, key, options.quorum)?;
    let needed = check_put(view, clocks, now, &target, draft.value.as_ref(), &options)?;
    if !target.is_sloppy && !target.owners.contains(&view.node()) {
        return Err(Error::new(ErrorKind::NotOwner, "the receiver of a forwarded put must own its key"));
    }
    let basis = Basis::Given(context.open(view.secret(), bucket.id, &target.key)?);
    let deadline_us = now.monotonic_us + timeout_us(view, options.timeout_ms);
    let inherits = Inherits::Nothing;
    Ok(PreparedPut { target, draft, inherits, basis, needed, options, deadline_us, is_forwarded: true })
}

fn one_get(view: &View, bucket: &Arc<Bucket>, key: Key, options: &ReadOptions) -> Result<PreparedGet, Error> {
    let target = target(view, bucket, key, options.quorum)?;
    let needed = needed(options.r.unwrap_or(bucket.properties.r), "r", bucket, target.owners.len())?;
    let timeout_us = timeout_us(view, options.timeout_ms);
    let (explain, repair) = (options.explain, options.repair);
    Ok(PreparedGet { target, needed, timeout_us, explain, repair, is_partial: false })
}

fn one_put(
    view: &View,
    clocks: &PeerClocks,
    now: Now,
    bucket: &Arc<Bucket>,
    (key, content, replace): (Key, Content, Replace),
    options: &WriteOptions,
) -> Result<PreparedPut, Error> {
    let target = target(view, bucket, key, options.quorum)?;
    let value = if let Content::Value(value, _) = &content { Some(value) } else { None };
    let needed_w = check_put(view, clocks, now, &target, value, options)?;
    let is_delete = content == Content::Tombstone;
    let (draft, inherits) = draft(&bucket.properties, now, content, &replace, options.attempt)?;
    let by_stamp = bucket.resolver.replaces_by_stamp();
    let given = match replace {
        Replace::Context(token) => Some(token.open(view.secret(), bucket.id, &target.key)?),
        Replace::Overwrite if by_stamp && inherits == Inherits::Nothing => Some(Context::default()),
        Replace::Overwrite => None,
        Replace::Nothing if is_delete && !by_stamp => {
            return Err(Error::new(
                ErrorKind::InvalidContext,
                "a delete that replaces nothing deletes nothing: pass the context of a get, or overwrite",
            ));
        }
        Replace::Nothing => Some(Context::default()),
    };
    let r = options.r.unwrap_or(bucket.properties.r);
    let basis = match given {
        Some(context) if !matches!(options.attempt, Attempt::Again(_)) => Basis::Given(context),
        Some(context) => Basis::Sought(needed(r, "r", bucket, target.owners.len())?, context),
        None => Basis::Read(needed(r, "r", bucket, target.owners.len())?),
    };
    Ok(PreparedPut {
        target,
        draft,
        inherits,
        basis,
        needed: needed_w,
        options: options.clone(),
        deadline_us: now.monotonic_us + timeout_us(view, options.timeout_ms),
        is_forwarded: false,
    })
}

/// Checks what every put is held to, and says how many acknowledgements it needs.
fn check_put(
    view: &View,
    clocks: &PeerClocks,
    now: Now,
    target: &Target,
    value: Option<&Bytes>,
    options: &WriteOptions,
) -> Result<usize, Error> {
    let bucket = &*target.bucket;
    let properties = &bucket.properties;
    let size_max =
        properties.value_bytes_max.map_or(usize::MAX, |most| most as usize).min(view.limits.value_bytes_max);
    if let Some(value) = value
        && value.len() > size_max
    {
        return Err(Error::new(
            ErrorKind::ValueTooLarge,
            format!("the value has {} bytes, {size_max} are allowed", value.len()),
        ));
    }
    let w = options.w.unwrap_or(properties.w);
    let needed_w = needed(w, "w", bucket, target.owners.len())?;
    let least = usize::from(properties.w_min).min(target.owners.len());
    if needed_w < least {
        return Err(Error::new(
            ErrorKind::InvalidConsistency,
            format!("w = {w} is below the least that bucket '{}' allows, {least}", bucket.name),
        ));
    }
    let distance_ms = clocks.distance_ms(now);
    if distance_ms > view.limits.clock_drift_ms_max {
        return Err(Error::new(
            ErrorKind::ClockSkew,
            format!(
                "this node's clock is {distance_ms} ms from its peers' and it coordinates no writes: set the clock, or write through another node"
            ),
        ));
    }
    Ok(needed_w)
}

fn target(view: &View, bucket: &Arc<Bucket>, key: Key, mode: Option<QuorumMode>) -> Result<Target, Error> {
    if key.as_bytes().len() > view.limits.key_bytes_max {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!("the key has {} bytes, {} are allowed", key.as_bytes().len(), view.limits.key_bytes_max),
        ));
    }
    let token = view.token(&key);
    let mut target = target_at(view, bucket, token, key);
    target.is_sloppy = mode.unwrap_or(bucket.properties.quorum) == QuorumMode::Sloppy;
    Ok(target)
}

fn target_at(view: &View, bucket: &Arc<Bucket>, token: Token, key: Key) -> Target {
    let owners = SmallVec::from_slice(view.owners(bucket, token));
    Target {
        bucket: Arc::clone(bucket),
        key,
        token,
        owners,
        is_sloppy: false,
        repairs: false,
        takes_parts: false,
        trace: TraceId::NONE,
    }
}

fn needed(quorum: Quorum, name: &str, bucket: &Bucket, owners: usize) -> Result<usize, Error> {
    if let Quorum::Count(count) = quorum
        && (count == 0 || count > bucket.properties.n)
    {
        return Err(Error::new(
            ErrorKind::InvalidConsistency,
            format!("{name} = {count} cannot be: bucket '{}' has n = {}", bucket.name, bucket.properties.n),
        ));
    }
    Ok(quorum.needed(owners))
}

fn check_batch(view: &View, keys: usize) -> Result<(), Error> {
    if keys > view.limits.batch_keys_max {
        return Err(Error::new(
            ErrorKind::BatchTooLarge,
            format!("{keys} keys in one request, {} are allowed: send several", view.limits.batch_keys_max),
        ));
    }
    Ok(())
}

fn timeout_us(view: &View, timeout_ms: Option<u32>) -> u64 {
    let timeout_ms = timeout_ms.map_or(view.limits.deadline_ms_default, u64::from);
    timeout_ms.clamp(1, view.limits.deadline_ms_max) * 1_000
}
