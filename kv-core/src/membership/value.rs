use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use bytes::Bytes;
use foca::{
    Codec, Config, Foca, Member, NoCustomBroadcast, Notification, PeriodicParams, PostcardCodec, Runtime,
    State, Timer,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::ids::NodeId;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::membership::timers::Timers;
use crate::membership::{Liveness, PeerIdentity};

/// Largest packet of gossip, in bytes: room for a few hundred updates.
const PACKET_BYTES_MAX: usize = 16 << 10;
/// Members that are not up and that are called in one period.
const ANNOUNCES: usize = 3;
/// After so many probe periods members that are not up are called again.
const ANNOUNCE_PERIODS: u64 = 3;
/// How long a member that is down is remembered, so that old news of it is recognised.
const REMEMBER_DOWN: Duration = Duration::from_secs(3_600);

type Swim = Foca<PeerIdentity, PostcardCodec, ChaCha8Rng, NoCustomBroadcast>;

/// What the failure detector wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipEffect {
    /// Send this packet; no answer is expected.
    Send(NodeId, Bytes),
    /// The member is reached there from now on.
    Moved(NodeId, String),
}

/// Detects which members can be reached. Fed with packets and the time, it hands back [`MembershipEffect`]s.
pub struct Membership {
    swim: Swim,
    wishes: Wishes,
    states: BTreeMap<NodeId, Liveness>,
    /// Where each member that was up was reached last.
    addresses: BTreeMap<NodeId, String>,
    /// Since when a member is suspected.
    suspected: BTreeMap<NodeId, u64>,
    probe_period_us: u64,
    suspicion_us: u64,
    announce_at_us: u64,
    announced: usize,
    refused: u64,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("states", &self.states).finish_non_exhaustive()
    }
}

/// What `foca` asked for while it handled something.
#[derive(Debug)]
struct Wishes {
    now_us: u64,
    packets: Vec<(PeerIdentity, Bytes)>,
    moved: Vec<PeerIdentity>,
    timers: Timers<Timer<PeerIdentity>>,
}

impl Runtime<PeerIdentity> for &mut Wishes {
    fn notify(&mut self, notification: Notification<'_, PeerIdentity>) {
        match notification {
            Notification::MemberUp(identity) | Notification::Rename(_, identity) => {
                self.moved.push(identity.clone());
            }
            _ => {}
        }
    }

    fn send_to(&mut self, to: PeerIdentity, data: &[u8]) {
        self.packets.push((to, Bytes::copy_from_slice(data)));
    }

    fn submit_after(&mut self, event: Timer<PeerIdentity>, after: Duration) {
        self.timers.add(self.now_us + after.as_micros() as u64, event);
    }
}

impl Membership {
    /// A node that has heard of nobody yet. `seed` decides whom it probes when; it begins at the first [`Membership::tick`].
    pub fn new(identity: PeerIdentity, limits: &Limits, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Membership {
            swim: Foca::new(identity, config(limits), random, PostcardCodec),
            wishes: Wishes { now_us: 0, packets: Vec::new(), moved: Vec::new(), timers: Timers::new() },
            states: BTreeMap::new(),
            addresses: BTreeMap::new(),
            suspected: BTreeMap::new(),
            probe_period_us: limits.probe_period_ms * 1_000,
            suspicion_us: limits.suspicion_ms * 1_000,
            announce_at_us: 0,
            announced: 0,
            refused: 0,
        }
    }

    /// What is known of a member.
    pub fn liveness(&self, node: NodeId) -> Liveness {
        self.states.get(&node).copied().unwrap_or_default()
    }

    /// What is known of all members that were heard of.
    pub fn states(&self) -> impl Iterator<Item = (NodeId, Liveness)> {
        self.states.iter().map(|(node, liveness)| (*node, *liveness))
    }

    /// Packets that were refused: rubbish, or meant for somebody else.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// When the next [`Membership::tick`] is wanted, on the monotonic clock.
    pub fn next_wakeup_us(&self) -> u64 {
        self.wishes.timers.next_us().map_or(self.announce_at_us, |at_us| at_us.min(self.announce_at_us))
    }

    /// Takes a packet that another node sent.
    pub fn packet(&mut self, now_us: u64, packet: &[u8], effects: &mut Vec<MembershipEffect>) {
        self.wishes.now_us = now_us;
        self.outbid(packet);
        if self.swim.handle_data(packet, &mut self.wishes).is_err() {
            self.refused += 1;
        }
        self.finish(effects);
    }

    /// A node that lost its store, and whose clock goes behind, begins in a generation below those that others know: it goes on above them.
    fn outbid(&mut self, packet: &[u8]) {
        let Ok(header) = PostcardCodec.decode_header(packet) else { return };
        let own: &PeerIdentity = self.swim.identity();
        let known: PeerIdentity = header.dst;
        if known.node == own.node && known.generation > own.generation {
            let generation = known.generation.saturating_add(1);
            let next = PeerIdentity { generation, ..own.clone() };
            let _ = self.swim.change_identity(next, &mut self.wishes);
        }
    }

    /// Does what is due. Members of `layout` that are not up are called now and then, whether or not anybody has heard of them.
    pub fn tick(&mut self, now_us: u64, layout: &Layout, effects: &mut Vec<MembershipEffect>) {
        self.wishes.now_us = now_us;
        while let Some(timer) = self.wishes.timers.pop_due(now_us) {
            // A probe that ends out of turn, because this process stood still, is begun anew by `foca` itself.
            let _ = self.swim.handle_timer(timer, &mut self.wishes);
        }
        if now_us >= self.announce_at_us {
            self.announce_at_us = now_us + self.probe_period_us * ANNOUNCE_PERIODS;
            self.announce(layout);
            self.end_suspicions(now_us);
        }
        self.finish(effects);
    }

    /// Tells the others that this node leaves, so that nobody has to find out.
    pub fn leave(&mut self, now_us: u64, effects: &mut Vec<MembershipEffect>) {
        self.wishes.now_us = now_us;
        let _ = self.swim.leave_cluster(&mut self.wishes);
        self.finish(effects);
    }

    /// A node that takes another identity forgets the timers of its suspicions, and a member that does not hear of one cannot object: it is
    /// taken for down, hears of that, and comes back.
    fn end_suspicions(&mut self, now_us: u64) {
        let most_us = self.suspicion_us + 2 * self.probe_period_us;
        let long =
            |node: &NodeId| self.suspected.get(node).is_some_and(|since_us| now_us > since_us + most_us);
        let stuck: Vec<Member<PeerIdentity>> = self
            .swim
            .iter_membership_state()
            .filter(|member| member.state() == State::Suspect && long(&member.id().node))
            .map(|member| Member::new(member.id().clone(), member.incarnation(), State::Down))
            .collect();
        let _ = self.swim.apply_many(stuck.into_iter(), true, &mut self.wishes);
    }

    /// Calls members that are not up, each by the last life of it that was heard of, also if only the end of that was: a member that is in
    /// an earlier one outbids it then (see `outbid`), and would be taken for dead for as long as the other is remembered if it did not know.
    fn announce(&mut self, layout: &Layout) {
        let own = self.swim.identity().node;
        let absent = |node: NodeId| node != own && self.liveness(node) != Liveness::Up;
        let absent: Vec<PeerIdentity> = layout
            .members()
            .iter()
            .filter(|member| absent(member.id))
            .map(|member| {
                let heard = self.swim.iter_membership_state().find(|heard| heard.id().node == member.id);
                let address = member.address.clone();
                let unheard = PeerIdentity { node: member.id, generation: 0, address };
                heard.map_or(unheard, |heard| heard.id().clone())
            })
            .collect();
        // All of them at first, then a few at a time, each in its turn.
        let most = if self.announced == 0 { absent.len() } else { ANNOUNCES };
        for turn in 0..most.min(absent.len()) {
            let Some(next) = absent.get((self.announced + turn) % absent.len()) else { continue };
            let _ = self.swim.announce(next.clone(), &mut self.wishes);
        }
        self.announced += most.max(1);
    }

    fn finish(&mut self, effects: &mut Vec<MembershipEffect>) {
        for state in self.states.values_mut() {
            *state = (*state).max(Liveness::Unheard);
        }
        for member in self.swim.iter_membership_state() {
            let state = match member.state() {
                State::Alive => Liveness::Up,
                State::Suspect => Liveness::Suspected,
                State::Down => Liveness::Down,
            };
            self.states.insert(member.id().node, state);
            if state == Liveness::Suspected {
                self.suspected.entry(member.id().node).or_insert(self.wishes.now_us);
            } else {
                self.suspected.remove(&member.id().node);
            }
        }
        for identity in self.wishes.moved.drain(..) {
            let known = self.addresses.insert(identity.node, identity.address.clone());
            if known.is_none_or(|known| known != identity.address) {
                effects.push(MembershipEffect::Moved(identity.node, identity.address));
            }
        }
        let sent = self.wishes.packets.drain(..);
        effects.extend(sent.map(|(to, packet)| MembershipEffect::Send(to.node, packet)));
    }
}

fn config(limits: &Limits) -> Config {
    const fn count(count: usize) -> NonZeroUsize {
        match NonZeroUsize::new(count) {
            Some(count) => count,
            None => NonZeroUsize::MIN,
        }
    }
    Config {
        probe_period: Duration::from_millis(limits.probe_period_ms),
        probe_rtt: Duration::from_millis(limits.probe_timeout_ms),
        num_indirect_probes: count(3),
        max_transmissions: NonZeroU8::new(10).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: Duration::from_millis(limits.suspicion_ms),
        remove_down_after: Some(REMEMBER_DOWN),
        max_packet_size: count(PACKET_BYTES_MAX),
        notify_down_members: true,
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams {
            frequency: Duration::from_millis((limits.probe_period_ms / 2).max(1)),
            num_members: count(2),
        }),
    }
}

#[cfg(test)]
mod tests;
