use std::sync::Arc;

use crate::ids::{NodeId, TraceId};
use crate::machine::node::NodeMachine;
use crate::machine::outbox::Outbox;
use crate::machine::{CallToken, Effect, PeerAnswer};
use crate::membership::MembershipEffect;
use crate::time::Now;
use crate::transport::CallError;
use crate::view::View;
use crate::wire::RequestBody;

/// How often slow peers are forgiven a part of their slowness.
const FORGIVE_US: u64 = 1_000_000;

impl<T> NodeMachine<T> {
    /// Takes a packet of gossip.
    pub(super) fn gossip(&mut self, now: Now, packet: &[u8], outbox: &mut Outbox<'_, T>) {
        let mut wanted = Vec::new();
        self.membership.packet(now.monotonic_us, packet, &mut wanted);
        self.after_gossip(wanted, outbox);
    }

    /// Lets the failure detector do what is due.
    pub(super) fn tick_gossip(&mut self, (view, now): (&View, Now), outbox: &mut Outbox<'_, T>) {
        if now.monotonic_us >= self.forgive_at_us {
            self.forgive_at_us = now.monotonic_us + FORGIVE_US;
            Arc::make_mut(&mut self.health).forgive();
        }
        if now.monotonic_us >= self.membership.next_wakeup_us() {
            let mut wanted = Vec::new();
            self.membership.tick(now.monotonic_us, &view.layout, &mut wanted);
            self.after_gossip(wanted, outbox);
        }
    }

    /// Tells the others that this node goes.
    pub(super) fn leave(&mut self, now: Now, outbox: &mut Outbox<'_, T>) {
        let mut wanted = Vec::new();
        self.membership.leave(now.monotonic_us, &mut wanted);
        self.after_gossip(wanted, outbox);
    }

    fn after_gossip(&mut self, wanted: Vec<MembershipEffect>, outbox: &mut Outbox<'_, T>) {
        for effect in wanted {
            outbox.effect(match effect {
                MembershipEffect::Moved(peer, address) => Effect::Moved(peer, address),
                MembershipEffect::Send(peer, packet) => Effect::Call {
                    peer,
                    body: RequestBody::Gossip(packet),
                    timeout_us: self.limits.probe_period_ms * 1_000,
                    token: CallToken::Gossip,
                    trace: TraceId::NONE,
                },
            });
        }
        let changed: Vec<_> =
            self.membership.states().filter(|(node, now)| self.health.peer(*node).liveness != *now).collect();
        for (node, liveness) in changed {
            Arc::make_mut(&mut self.health).set_liveness(node, liveness);
        }
    }

    /// Takes note of how a peer answered.
    pub(super) fn note_answer(
        &mut self,
        peer: NodeId,
        token: &CallToken,
        took_us: u64,
        result: &Result<PeerAnswer, CallError>,
    ) {
        // A peer that does not answer may be gone and come back in another life: a put is not handed to the one that is known.
        let life = result.as_ref().ok().map(|answer| answer.incarnation);
        let is_timed = matches!(token, CallToken::Read(_) | CallToken::Write(_))
            && !matches!(result, Err(CallError::NotSent(..)));
        if !is_timed && self.health.peer(peer).life == life {
            return;
        }
        let health = Arc::make_mut(&mut self.health);
        health.set_life(peer, life);
        if is_timed {
            health.answered(peer, took_us);
        }
    }

    /// Takes note of peers that were waited for in vain.
    pub(super) fn note_missed(&mut self, missed: &[NodeId]) {
        let waited_us = self.limits.hedge_delay_ms * 1_000;
        for peer in missed {
            Arc::make_mut(&mut self.health).missed(*peer, waited_us);
        }
    }
}
