//! Asks all other members whether they keep copies of partitions that were read before the present epoch (`docs/epochs.md`, rule 10).

use std::collections::VecDeque;

use crate::ids::NodeId;
use crate::machine::Effect;
use crate::machine::anti_entropy::{AntiEntropy, State};
use crate::machine::outbox::Outbox;
use crate::mutants::{self, Mutant};
use crate::time::Now;
use crate::transport::CallError;
use crate::view::View;
use crate::wire::{AnswerBody, ClearItem, RequestBody};

/// The partitions of which members are asked, and the members that were not asked yet.
#[derive(Debug)]
pub(super) struct Clearing {
    items: Vec<ClearItem>,
    members: VecDeque<NodeId>,
}

impl Clearing {
    /// Keeps the partitions of which a member keeps nothing older.
    pub(super) fn answered(&mut self, result: Result<AnswerBody, CallError>) {
        match result {
            Ok(AnswerBody::Cleared(clear)) if clear.len() == self.items.len() => {
                let mut clear = clear.into_iter();
                let turns_anyway = mutants::on(Mutant::TurnsWithoutStandIns);
                self.items.retain(|_| clear.next().unwrap_or(false) || turns_anyway);
            }
            _ => self.items.clear(),
        }
    }
}

impl AntiEntropy {
    pub(super) fn read_to_clear<T>(&mut self, outbox: &mut Outbox<'_, T>) {
        self.step += 1;
        outbox.effect(Effect::ReadToClear(self.step));
        self.state = State::Clearing(Clearing { items: Vec::new(), members: VecDeque::new() });
    }

    /// It is known of which partitions members have to be asked.
    pub(in crate::machine) fn begin_clearing<T>(
        &mut self,
        at: (&View, Now),
        (step, items): (u64, Vec<ClearItem>),
        outbox: &mut Outbox<'_, T>,
    ) {
        let State::Clearing(clearing) = &mut self.state else { return };
        if step != self.step {
            return;
        }
        clearing.items = items;
        let members = at.0.layout.members().iter().map(|member| member.id);
        clearing.members = members.filter(|node| *node != at.0.node()).collect();
        self.clear(at, outbox);
    }

    /// Asks the next member.
    pub(super) fn clear<T>(&mut self, (view, now): (&View, Now), outbox: &mut Outbox<'_, T>) {
        let State::Clearing(clearing) = &mut self.state else { return };
        let next = if clearing.items.is_empty() { None } else { clearing.members.pop_front() };
        if let Some(member) = next {
            let items = clearing.items.clone();
            self.step += 1;
            return self.call(view, member, RequestBody::Clear(items), outbox);
        }
        let items = std::mem::take(&mut clearing.items);
        if !items.is_empty() {
            outbox.effect(Effect::Cleared(items));
        }
        self.rest(now);
    }
}
