use crate::machine::{CallToken, Effect};
use crate::transport::CallError;
use crate::wire::{Answer, AnswerBody, Request};

/// Something that happens at a moment of virtual time. Nodes and clients go by their index.
#[derive(Debug)]
pub(super) enum Happening {
    /// A client begins its next operation.
    ClientActs(usize),
    /// A client stops waiting for an operation.
    ClientGivesUp(usize, u32),
    /// A client is answered, or learns that nothing was sent.
    Reply(usize, u32, Option<AnswerBody>),
    /// Something happens to a node.
    Node(usize, NodeEvent),
    /// A node crashes, to be started soon.
    NodeCrashes(usize),
    /// A node is started.
    NodeStarts(usize),
    /// A node that was paused goes on.
    NodeGoesOn(usize),
    /// The next fault that lasts.
    Fault,
    /// A bit flips in what a node has stored under that key.
    Flip(usize, Vec<u8>),
    /// There is space on the disk of a node again.
    DiskHasSpace(usize),
    /// The network is whole again, unless it was cut anew since.
    Heals(u64),
}

/// Something that happens to a node.
#[derive(Debug)]
pub(super) enum NodeEvent {
    /// A request arrives. `only_copy`: no other copy of it is or was under way.
    Request { ticket: Ticket, request: Box<Request>, only_copy: bool },
    /// An answer arrives, or the news that there will be none.
    Answer { life: u32, call: u64, result: Result<Box<Answer>, CallError>, again: bool },
    /// A call was waited for long enough.
    CallExpires { life: u32, call: u64 },
    /// The machine wanted to be woken.
    Tick { life: u32 },
    /// The writer takes what is queued.
    WriterBegins { life: u32 },
    /// The commit of the writer's batch ends.
    CommitEnds { life: u32 },
    /// An effect is carried out late.
    Late { life: u32, effect: Box<Effect<Ticket>> },
}

/// Who waits for what a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ticket {
    Client { client: usize, operation: u32 },
    Peer { node: usize, life: u32, call: u64, forwarded: bool },
}

/// A call whose answer a node waits for.
#[derive(Debug)]
pub(super) struct PendingCall {
    pub(super) peer: usize,
    pub(super) token: CallToken,
    pub(super) sent_us: u64,
    /// The digests of the records that it repairs, if no operation waits for it.
    pub(super) repairs: Vec<u64>,
    /// Its answer arrived and may arrive again.
    pub(super) answered: bool,
}
