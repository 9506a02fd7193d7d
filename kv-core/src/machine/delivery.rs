use crate::error::ErrorKind;
use crate::ids::{NodeId, TraceId};
use crate::key::StorageKey;
use crate::machine::outbox::Outbox;
use crate::machine::{CallToken, Effect};
use crate::mutants::{self, Mutant};
use crate::replica::{CopiesPage, Mutation, StandInCopy};
use crate::time::Now;
use crate::transport::CallError;
use crate::view::View;
use crate::wire::{AnswerBody, RequestBody, WriteAnswer, WriteItem};

/// Hinted handoff (Dynamo section 4.6): gives the copies that this node keeps for absent owners to those that are back.
///
/// One request is under way at a time. After each it rests for as long as the request took, so that an owner that struggles is left alone;
/// an owner that refuses is passed over until the next round.
#[derive(Debug)]
pub(super) struct Delivery {
    at_us: u64,
    /// Behind which storage key it goes on; none to begin with the first copy.
    cursor: Option<Vec<u8>>,
    state: State,
    /// The number of the last request: an answer that comes again must not be taken for that of a later one, to another owner.
    last: u64,
    /// Copies that owners have committed.
    pub(super) delivered: u64,
    /// Copies that could not be read any more.
    pub(super) damaged: u64,
    /// Copies among them that owners refused as too old.
    pub(super) stale: u64,
}

#[derive(Debug)]
enum State {
    Resting,
    Reading,
    Sending { owner: NodeId, copies: Vec<StandInCopy>, next: Option<Vec<u8>>, since_us: u64 },
}

impl Delivery {
    pub(super) fn new() -> Self {
        Delivery {
            at_us: 0,
            cursor: None,
            state: State::Resting,
            last: 0,
            delivered: 0,
            damaged: 0,
            stale: 0,
        }
    }

    /// When it wants to be ticked.
    pub(super) fn next_us(&self) -> u64 {
        if matches!(self.state, State::Resting) { self.at_us } else { u64::MAX }
    }

    pub(super) fn tick<T>(&mut self, now: Now, outbox: &mut Outbox<'_, T>) {
        if now.monotonic_us >= self.next_us() {
            self.read(outbox);
        }
    }

    fn read<T>(&mut self, outbox: &mut Outbox<'_, T>) {
        self.state = State::Reading;
        outbox.effect(Effect::ReadCopies(self.cursor.clone()));
    }

    fn rest(&mut self, now: Now, rest_us: u64) {
        self.state = State::Resting;
        self.at_us = now.monotonic_us + rest_us;
    }

    fn end_round(&mut self, view: &View, now: Now) {
        self.cursor = None;
        self.rest(now, view.limits.delivery_period_ms * 1_000);
    }

    /// Goes on behind everything that is kept for `owner`.
    fn pass_over(&mut self, owner: NodeId) {
        let mut end = StorageKey::stand_in_prefix(owner).to_vec();
        // Behind every key with that prefix: no bucket of the table has the highest number.
        end.extend_from_slice(&[u8::MAX; 12]);
        self.cursor = Some(end);
    }

    /// Copies were read.
    pub(super) fn copies<T>(
        &mut self,
        (view, now): (&View, Now),
        page: Result<CopiesPage, ErrorKind>,
        outbox: &mut Outbox<'_, T>,
    ) {
        if !matches!(self.state, State::Reading) {
            return;
        }
        let Ok(CopiesPage { owner: Some(owner), copies, damaged, next }) = page else {
            return self.end_round(view, now);
        };
        if !damaged.is_empty() {
            // They can be handed to nobody, and while they are there the epochs of their partitions do not end.
            self.damaged += damaged.len() as u64;
            outbox.effect(Effect::Mutate(Mutation::Release(damaged)));
        }
        let Some(target) = self.target(view, owner, &copies, outbox) else {
            self.pass_over(owner);
            return self.read(outbox);
        };
        let (copies, gone): (Vec<_>, Vec<_>) =
            copies.into_iter().partition(|copy| view.table().has(copy.bucket));
        if !gone.is_empty() {
            // Their bucket was deleted.
            outbox.effect(Effect::Mutate(Mutation::Release(gone)));
        }
        if copies.is_empty() {
            return self.go_on(view, now, next, 0);
        }
        let items = copies.iter().map(|copy| WriteItem {
            bucket: copy.bucket,
            read: copy.read.clone(),
            key: copy.key.clone(),
            record: copy.record.to_bytes(),
            heal: None,
            stand_in_for: None,
        });
        self.last += 1;
        outbox.effect(Effect::Call {
            peer: target,
            body: RequestBody::Write(items.collect()),
            timeout_us: view.limits.deadline_ms_default * 1_000,
            token: CallToken::Delivery(self.last),
            trace: TraceId::NONE,
        });
        self.state = State::Sending { owner, copies, next, since_us: now.monotonic_us };
    }

    /// Whom the copies for `owner` go to: nobody else, if it is up.
    fn target<T>(
        &self,
        view: &View,
        owner: NodeId,
        copies: &[StandInCopy],
        outbox: &Outbox<'_, T>,
    ) -> Option<NodeId> {
        let is_up = |node: &NodeId| *node != view.node() && outbox.health.is_up(*node);
        if !mutants::on(Mutant::CopiesGoToAnyOwner) {
            return is_up(&owner).then_some(owner);
        }
        let first = copies.first()?;
        let bucket = view.bucket_by_id(first.bucket)?;
        view.owners(bucket, first.token).iter().copied().find(is_up)
    }

    fn go_on(&mut self, view: &View, now: Now, next: Option<Vec<u8>>, rest_us: u64) {
        if next.is_none() {
            return self.end_round(view, now);
        }
        self.cursor = next;
        self.rest(now, rest_us);
    }

    /// The owner answered, or did not.
    pub(super) fn answer<T>(
        &mut self,
        (view, now): (&View, Now),
        number: u64,
        result: Result<AnswerBody, CallError>,
        outbox: &mut Outbox<'_, T>,
    ) {
        if number != self.last {
            return;
        }
        let State::Sending { owner, copies, next, since_us } =
            std::mem::replace(&mut self.state, State::Resting)
        else {
            return;
        };
        let answers = match result {
            Ok(AnswerBody::Write(answers)) if answers.len() == copies.len() => answers,
            _ => Vec::new(),
        };
        let sent = copies.len();
        // What is refused as too old was delivered before, or was counted by nobody.
        let stale = WriteAnswer::Refused(ErrorKind::StaleEpoch);
        self.stale += answers.iter().filter(|answer| **answer == stale).count() as u64;
        let committed =
            |answer: &WriteAnswer| matches!(answer, WriteAnswer::Committed(_)) || *answer == stale;
        let released: Vec<StandInCopy> = if mutants::on(Mutant::CopiesAreReleasedWhenSent) {
            copies
        } else {
            let pairs = copies.into_iter().zip(&answers);
            pairs.filter(|(_, answer)| committed(answer)).map(|(copy, _)| copy).collect()
        };
        let all = released.len() == sent;
        self.delivered += released.len() as u64;
        if !released.is_empty() {
            outbox.effect(Effect::Mutate(Mutation::Release(released)));
        }
        let took_us = now.monotonic_us.saturating_sub(since_us);
        if all {
            self.go_on(view, now, next, took_us);
        } else {
            self.pass_over(owner);
            self.rest(now, took_us);
        }
    }
}
