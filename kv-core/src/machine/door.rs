use crate::causality::{Clock, PeerClocks};
use crate::command::PutResult;
use crate::error::{Error, ErrorKind};
use crate::ids::{ClusterId, Incarnation, TraceId};
use crate::machine::{Event, Outcome, accept_writes, local_get, prepare};
use crate::replica::{Mutation, Partitions, read_many, read_range};
use crate::storage::Storage;
use crate::time::Now;
use crate::transport::Sender;
use crate::tree::{LEAVES, LeafId};
use crate::view::View;
use crate::wire::{
    Answer, AnswerBody, CompareAnswer, CompareItem, ForwardAnswer, Header, ReadAnswer, Request, RequestBody,
};

/// What a node is at one moment, as far as frames need it.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// What it knows of its cluster.
    pub view: &'a View,
    /// Its clock.
    pub clock: &'a Clock,
    /// Its peers' clocks.
    pub peers: &'a PeerClocks,
    /// The life of its store; 0 while it has none.
    pub incarnation: Incarnation,
    /// Its store.
    pub store: &'a dyn Storage,
    /// What is in it, partition by partition.
    pub partitions: &'a Partitions,
}

/// What becomes of a request at the door.
#[derive(Debug)]
pub enum Admitted<T> {
    /// It is answered at once: a read, or a refusal.
    Answered(T, AnswerBody),
    /// The machine is to run it.
    Run(Event<T>),
    /// The writer is to do it, and answers when it is committed.
    Mutate(Mutation<T>),
    /// The machine is to hear of it; whoever sent it is answered at once.
    Noted(T, Event<T>),
    /// The node's administration is to do it.
    Administer(T, RequestBody),
}

impl Door<'_> {
    /// The header of whatever the node sends.
    pub fn header(&self, now: Now) -> Header {
        Header {
            cluster: self.view.identity.cluster,
            layout: self.view.layout.version(),
            incarnation: self.incarnation,
            clock: self.clock.read(now.wall_ms),
            buckets: self.view.table_digest(),
            trace: TraceId::NONE,
        }
    }

    /// Takes note of the header of a frame that a peer sent.
    pub fn hear(&self, sender: Sender, header: &Header, now: Now) {
        if let Sender::Peer(peer) = sender
            && header.cluster == self.view.identity.cluster
        {
            self.clock.observe(header.clock, now.wall_ms, self.view.limits.clock_drift_ms_max);
            self.peers.heard(peer, header.clock, now);
        }
    }

    /// Checks one request and says what becomes of it. Reads run here, where the request arrives; no lock is held.
    pub fn admit<T>(&self, now: Now, sender: Sender, request: Request, ticket: T) -> Admitted<T> {
        let Request { header, body } = request;
        if let Err(error) = self.check(sender, &header, &body) {
            return Admitted::Answered(ticket, AnswerBody::Refused(error));
        }
        self.hear(sender, &header, now);
        let (view, trace) = (self.view, header.trace);
        match body {
            RequestBody::Read(items) => {
                let mut answers = read_many(view, self.store, &self.partitions.epochs, &items);
                keep_within_frame(&mut answers, view.limits.frame_bytes_max / 2);
                Admitted::Answered(ticket, AnswerBody::Read(answers))
            }
            RequestBody::ReadRange(item) => {
                let answer = read_range(view, self.store, &self.partitions.epochs, &item);
                Admitted::Answered(ticket, AnswerBody::Range(answer))
            }
            RequestBody::Write(items) => {
                Admitted::Mutate(Mutation::Merge(accept_writes(view, Some(ticket), items)))
            }
            RequestBody::Forward(forward) => {
                let Sender::Peer(peer) = sender else {
                    return Admitted::Administer(ticket, RequestBody::Forward(forward));
                };
                let (id, floor, forward_sender) = (forward.id, forward.floor, forward.sender);
                let put = prepare::forwarded(view, self.peers, now, self.incarnation, forward)
                    .map(|put| put.traced(trace));
                Admitted::Run(Event::Forwarded { ticket, from: (peer, forward_sender), id, floor, put })
            }
            RequestBody::Get(command) => match prepare::get(view, command) {
                Ok(get) => {
                    let (epochs, mut buffer) = (&self.partitions.epochs, Vec::with_capacity(256));
                    match local_get(view, self.store, epochs, &get, || now.wall_ms, &mut buffer) {
                        Some(result) => Admitted::Answered(ticket, AnswerBody::Get(result)),
                        None => Admitted::Run(Event::Get(ticket, get.traced(trace))),
                    }
                }
                Err(error) => Admitted::Answered(ticket, AnswerBody::Get(Err(error))),
            },
            RequestBody::Put(command) => match prepare::put(view, self.peers, now, command) {
                Ok(put) => Admitted::Run(Event::Put(ticket, put.traced(trace))),
                Err(error) => Admitted::Answered(ticket, AnswerBody::Put(not_applied(error))),
            },
            RequestBody::GetMany(command) => match prepare::get_many(view, command) {
                Ok(gets) => Admitted::Run(Event::GetMany(ticket, prepare::traced_gets(gets, trace))),
                Err(error) => Admitted::Answered(ticket, AnswerBody::Refused(error)),
            },
            RequestBody::PutMany(command) => match prepare::put_many(view, self.peers, now, command) {
                Ok(puts) => Admitted::Run(Event::PutMany(ticket, prepare::traced_puts(puts, trace))),
                Err(error) => Admitted::Answered(ticket, AnswerBody::Refused(error)),
            },
            RequestBody::Scan(command) => match prepare::scan(view, command) {
                Ok(scan) => Admitted::Run(Event::Scan(ticket, scan.traced(trace))),
                Err(error) => Admitted::Answered(ticket, AnswerBody::Scan(Err(error))),
            },
            RequestBody::Repair => Admitted::Run(Event::Repair(ticket)),
            RequestBody::Count(leaves) => {
                let count = view.layout.partitioning().count();
                let is_leaf =
                    |leaf: &LeafId| usize::from(leaf.leaf) < LEAVES && leaf.tree.partition.0 < count;
                if leaves.len() > LEAVES || !leaves.iter().all(is_leaf) {
                    let message = format!("at most {LEAVES} leaves that there are can be counted at a time");
                    let error = Error::new(ErrorKind::InvalidFrame, message);
                    return Admitted::Answered(ticket, AnswerBody::Refused(error));
                }
                Admitted::Mutate(Mutation::Count { leaves, reply: Some(ticket) })
            }
            RequestBody::Clear(items) => Admitted::Mutate(Mutation::Promise { items, reply: ticket }),
            RequestBody::Compare(items) => {
                let answers = items.iter().map(|item| self.compare(item)).collect();
                Admitted::Answered(ticket, AnswerBody::Compared(answers))
            }
            RequestBody::Gossip(packet) => Admitted::Noted(ticket, Event::Gossip(packet)),
            body => Admitted::Administer(ticket, body),
        }
    }

    fn check(&self, sender: Sender, header: &Header, body: &RequestBody) -> Result<(), Error> {
        if sender == Sender::Client && !body.is_for_clients() {
            return Err(Error::new(
                ErrorKind::NotPermitted,
                "clients may not send this request: it is for peers",
            ));
        }
        let ours = self.view.identity.cluster;
        if header.cluster != ours && (header.cluster != ClusterId(0) || !body.is_for_clients()) {
            return Err(Error::new(
                ErrorKind::WrongCluster,
                format!(
                    "this node belongs to cluster {ours}, the request to {}: check the address",
                    header.cluster
                ),
            ));
        }
        let by_layout = matches!(
            body,
            RequestBody::Read(_)
                | RequestBody::ReadRange(_)
                | RequestBody::Write(_)
                | RequestBody::Forward(_)
                | RequestBody::Clear(_)
                | RequestBody::Compare(_)
        );
        let version = self.view.layout.version();
        if by_layout && header.layout != version {
            return Err(Error::new(
                ErrorKind::StaleLayout,
                format!("this node has layout version {version}, the request {}", header.layout),
            ));
        }
        Ok(())
    }

    fn compare(&self, item: &CompareItem) -> CompareAnswer {
        if self.view.bucket_by_id(item.tree.bucket).is_none() {
            return CompareAnswer::Refused(ErrorKind::UnknownBucket);
        }
        if item.tree.partition.0 >= self.view.layout.partitioning().count() {
            return CompareAnswer::Refused(ErrorKind::InvalidFrame);
        }
        let epochs = &self.partitions.epochs;
        epochs.heard(item.tree, item.standing);
        let standing = epochs.standing(item.tree);
        let tree = self.partitions.trees.tree(item.tree);
        match tree.root() {
            None => CompareAnswer::Unknown,
            Some(root) if root == item.root => CompareAnswer::Same(standing),
            Some(_) => CompareAnswer::Differs(standing, tree.sums().to_vec()),
        }
    }

    /// The answer to a request.
    pub fn answer(&self, now: Now, body: AnswerBody) -> Answer {
        Answer { header: self.header(now), body }
    }
}

impl Outcome {
    /// The outcome as the answer to the request that began the operation.
    pub fn into_answer(self, forwarded: bool) -> AnswerBody {
        match self {
            Outcome::Get(result) => AnswerBody::Get(result),
            Outcome::Put(result) if forwarded => AnswerBody::Forward(ForwardAnswer { result }),
            Outcome::Put(result) => AnswerBody::Put(result),
            Outcome::GetMany(results) => AnswerBody::GetMany(results),
            Outcome::PutMany(results) => AnswerBody::PutMany(results),
            Outcome::Scan(result) => AnswerBody::Scan(result),
            Outcome::Repair(round) => AnswerBody::Repair(round),
        }
    }
}

fn not_applied(error: Error) -> PutResult {
    PutResult::NotApplied(error)
}

/// Refuses the records behind the first `bytes_max` bytes; whoever asked asks for each of them alone.
fn keep_within_frame(answers: &mut [ReadAnswer], bytes_max: usize) {
    if answers.len() < 2 {
        return;
    }
    let mut bytes = 0;
    for answer in answers {
        if let ReadAnswer::Record(_, record) | ReadAnswer::Recovering(_, _, record) = answer {
            bytes += record.len() + 16;
            if bytes > bytes_max {
                *answer = ReadAnswer::Refused(ErrorKind::FrameTooLarge);
            }
        }
    }
}
