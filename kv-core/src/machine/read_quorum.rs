use smallvec::SmallVec;

use crate::error::{Cause, Error, ErrorKind, QuorumShortfall};
use crate::ids::{Epoch, NodeId};
use crate::machine::Target;
use crate::mutants::{self, Mutant};
use crate::record::{EncodedRecord, Provenance, Record, Sinces, Version};
use crate::transport::CallError;
use crate::wire::{ReadAnswer, Source};

/// Collects the answers of a key's owners until enough of them count.
#[derive(Debug)]
pub(super) struct ReadQuorum {
    pub(super) needed: usize,
    /// The owners, and behind them the stand-ins.
    pub(super) replicas: SmallVec<[Replica; 4]>,
    stand_ins: SmallVec<[NodeId; 2]>,
    /// In which epoch each of them read what it answered with; none before it has.
    origins: SmallVec<[Provenance; 4]>,
}

/// What is known of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replica {
    NotAsked,
    Waiting,
    /// It has no record; counts.
    Absent,
    /// It has this record; counts.
    Record(EncodedRecord),
    /// It has this record and is recovering; does not count.
    Recovering(u64, EncodedRecord),
    /// Its record is damaged; does not count.
    Damaged(u64),
    /// It refused or could not be reached.
    Failed(ErrorKind),
}

impl Replica {
    fn damage(&self) -> Option<u64> {
        match self {
            Replica::Damaged(damage) | Replica::Recovering(damage, _) => Some(*damage),
            _ => None,
        }
    }
}

impl ReadQuorum {
    pub(super) fn new(needed: usize, owners: usize) -> Self {
        let needed = if mutants::on(Mutant::ForgetsR) { needed.min(1) } else { needed };
        ReadQuorum {
            needed,
            replicas: SmallVec::from_elem(Replica::NotAsked, owners),
            stand_ins: SmallVec::new(),
            origins: SmallVec::from_elem(Provenance::default(), owners),
        }
    }

    /// Marks up to `most` owners as asked, those of a low `rank` first and otherwise in the order of preference, and returns which. Those
    /// without a rank are left out.
    pub(super) fn ask(&mut self, most: usize, rank: impl Fn(usize) -> Option<u8>) -> SmallVec<[u8; 4]> {
        let open = |(index, replica): (usize, &Replica)| {
            (*replica == Replica::NotAsked && rank(index).is_some()).then_some(index as u8)
        };
        let mut asked: SmallVec<[u8; 4]> = self.replicas.iter().enumerate().filter_map(open).collect();
        if asked.len() > most {
            asked.sort_by_key(|index| rank(usize::from(*index)));
            asked.truncate(most);
        }
        for index in &asked {
            self.ask_one(*index);
        }
        asked
    }

    /// The owners that were asked and have not answered.
    pub(super) fn waiting_for<'a>(&'a self, owners: &'a [NodeId]) -> impl Iterator<Item = NodeId> + 'a {
        let pairs = owners.iter().chain(&self.stand_ins).zip(&self.replicas);
        pairs.filter(|(_, replica)| **replica == Replica::Waiting).map(|(owner, _)| *owner)
    }

    /// Marks one owner as asked.
    pub(super) fn ask_one(&mut self, index: u8) {
        if let Some(replica) = self.replicas.get_mut(usize::from(index)) {
            *replica = Replica::Waiting;
        }
    }

    /// Adds a node that stands in, and marks it as asked; returns its index.
    pub(super) fn add_stand_in(&mut self, node: NodeId) -> u8 {
        self.stand_ins.push(node);
        self.replicas.push(Replica::Waiting);
        self.origins.push(Provenance::default());
        (self.replicas.len() - 1) as u8
    }

    /// The nodes that were asked as stand-ins.
    pub(super) fn stand_ins(&self) -> &[NodeId] {
        &self.stand_ins
    }

    /// The node at an index.
    pub(super) fn node(&self, index: u8, owners: &[NodeId]) -> Option<NodeId> {
        owners.iter().chain(&self.stand_ins).nth(usize::from(index)).copied()
    }

    /// How many stand-ins count.
    pub(super) fn stand_in_votes(&self) -> usize {
        let owners = self.replicas.len() - self.stand_ins.len();
        let votes = |replica: &&Replica| matches!(replica, Replica::Absent | Replica::Record(_));
        self.replicas.iter().skip(owners).filter(votes).count()
    }

    /// How many more stand-ins are needed, if only the owners of which `is_reachable` says so can still answer.
    pub(super) fn stand_ins_missing(&self, is_reachable: impl Fn(usize) -> bool) -> usize {
        let owners = self.replicas.len() - self.stand_ins.len();
        let helps = |(index, replica): (usize, &Replica)| match replica {
            Replica::Absent | Replica::Record(_) => true,
            Replica::NotAsked | Replica::Waiting => index >= owners || is_reachable(index),
            Replica::Recovering(..) | Replica::Damaged(_) | Replica::Failed(_) => false,
        };
        let helping = self.replicas.iter().enumerate().filter(|pair| helps(*pair)).count();
        self.needed.saturating_sub(helping)
    }

    /// How many owners must be asked now so that, with those that may still answer, enough can count.
    pub(super) fn missing(&self) -> usize {
        self.needed.saturating_sub(self.votes() + self.waiting())
    }

    /// Takes an answer in. A second answer of the same owner changes nothing.
    pub(super) fn answer(&mut self, index: u8, answer: ReadAnswer, local: Option<u8>, target: &Target) {
        let unchanged = local.and_then(|local| self.record(local)).cloned();
        let mut origin = None;
        let Some(replica) = self.replicas.get_mut(usize::from(index)) else { return };
        if *replica != Replica::Waiting {
            return;
        }
        let answer = match answer {
            ReadAnswer::Damaged(_) if target.takes_parts => ReadAnswer::Absent(Epoch::NONE),
            ReadAnswer::Recovering(_, read, bytes) if target.takes_parts => ReadAnswer::Record(read, bytes),
            answer => answer,
        };
        let garbled = Replica::Failed(ErrorKind::InvalidFrame);
        let check = |bytes| EncodedRecord::check(bytes, target.bucket.id, &target.key).ok();
        *replica = match answer {
            ReadAnswer::Absent(epoch) => {
                origin = Some(Provenance { epoch, ..Provenance::default() });
                Replica::Absent
            }
            ReadAnswer::Unchanged => {
                unchanged.map_or(Replica::Failed(ErrorKind::InvalidFrame), Replica::Record)
            }
            ReadAnswer::Record(read, bytes) => {
                origin = Some(read);
                check(bytes).map_or(garbled, Replica::Record)
            }
            ReadAnswer::Recovering(damage, read, bytes) => {
                origin = Some(read);
                check(bytes).map_or(garbled, |record| Replica::Recovering(damage, record))
            }
            ReadAnswer::Damaged(damage) => Replica::Damaged(damage),
            ReadAnswer::Refused(kind) => Replica::Failed(kind),
        };
        if let (Some(origin), Some(place)) = (origin, self.origins.get_mut(usize::from(index))) {
            *place = origin;
        }
        self.refuse_those_behind();
    }

    /// What replicas hold that are more than one epoch apart is not put together: those behind were lost or restored (`docs/epochs.md`, rule 13).
    fn refuse_those_behind(&mut self) {
        let latest = self.origins.iter().map(|origin| origin.epoch).max().unwrap_or_default();
        for (replica, origin) in self.replicas.iter_mut().zip(&self.origins) {
            let is_behind = origin.epoch != Epoch::NONE && origin.epoch.plus(2) <= latest;
            if is_behind && matches!(replica, Replica::Absent | Replica::Record(_) | Replica::Recovering(..))
            {
                *replica = Replica::Failed(ErrorKind::StaleEpoch);
            }
        }
    }

    /// In which epoch a record counts as read that was merged from all answers, and since when its versions are held by anybody.
    pub(super) fn provenance(&self, merged: &Record) -> Provenance {
        let held = |replica: &Replica| match replica {
            Replica::Record(record) | Replica::Recovering(_, record) => record.decode().ok(),
            _ => None,
        };
        let sources: SmallVec<[(&Provenance, Record); 4]> = self
            .origins
            .iter()
            .zip(&self.replicas)
            .filter_map(|(origin, replica)| Some((origin, held(replica)?)))
            .filter(|(origin, _)| origin.epoch != Epoch::NONE)
            .collect();
        let epoch = sources.iter().map(|(origin, _)| origin.epoch).min().unwrap_or_default();
        let since = |version: &Version| {
            let known = sources.iter().filter_map(|(origin, record)| {
                origin.sinces.of(record).find(|(theirs, _)| theirs.dot == version.dot)?.1
            });
            known.min()
        };
        Provenance { epoch, sinces: Sinces::new(merged, since) }
    }

    /// Takes note that an owner answered in another way.
    pub(super) fn count(&mut self, index: u8) -> bool {
        match self.replicas.get_mut(usize::from(index)) {
            Some(replica @ Replica::Waiting) => {
                *replica = Replica::Absent;
                true
            }
            _ => false,
        }
    }

    /// Takes note that an owner refused to answer.
    pub(super) fn refuse(&mut self, index: u8, kind: ErrorKind) {
        if let Some(replica @ Replica::Waiting) = self.replicas.get_mut(usize::from(index)) {
            *replica = Replica::Failed(kind);
        }
    }

    /// Takes note that no answer will come.
    pub(super) fn fail(&mut self, index: u8, error: &CallError) {
        self.refuse(index, error.kind());
    }

    pub(super) fn record(&self, index: u8) -> Option<&EncodedRecord> {
        match self.replicas.get(usize::from(index)) {
            Some(Replica::Record(record)) => Some(record),
            _ => None,
        }
    }

    pub(super) fn votes(&self) -> usize {
        let recovering = mutants::on(Mutant::RecoveringVotes);
        let votes = |replica: &&Replica| match replica {
            Replica::Absent | Replica::Record(_) => true,
            Replica::Recovering(..) => recovering,
            _ => false,
        };
        self.replicas.iter().filter(votes).count()
    }

    pub(super) fn waiting(&self) -> usize {
        self.replicas.iter().filter(|replica| **replica == Replica::Waiting).count()
    }

    pub(super) fn is_reached(&self) -> bool {
        self.votes() >= self.needed
    }

    /// Whether not even all owners that have not answered could make it enough.
    pub(super) fn is_hopeless(&self) -> bool {
        let open = |replica: &&Replica| matches!(replica, Replica::NotAsked | Replica::Waiting);
        self.votes() + self.replicas.iter().filter(open).count() < self.needed
    }

    /// Whether some owner has lost something that only the others can give back.
    pub(super) fn has_damage(&self) -> bool {
        self.replicas.iter().any(|replica| replica.damage().is_some())
    }

    /// The damages that were seen, by owner.
    pub(super) fn damages(&self) -> SmallVec<[Option<u64>; 4]> {
        self.replicas.iter().map(Replica::damage).collect()
    }

    /// The records that owners answered with, equal ones once, recovering ones too: what they hold is real.
    pub(super) fn records(&self) -> SmallVec<[EncodedRecord; 2]> {
        let mut records: SmallVec<[EncodedRecord; 2]> = SmallVec::new();
        for replica in &self.replicas {
            if let Replica::Record(record) | Replica::Recovering(_, record) = replica
                && !records.contains(record)
            {
                records.push(record.clone());
            }
        }
        records
    }

    /// The owners whose whole state is in [`ReadQuorum::records`].
    pub(super) fn sources(&self, owners: &[NodeId]) -> Vec<Source> {
        owners
            .iter()
            .zip(&self.replicas)
            .filter_map(|(node, replica)| match replica {
                Replica::Absent | Replica::Record(_) => Some(Source { node: *node, complete: true }),
                Replica::Recovering(..) => Some(Source { node: *node, complete: false }),
                _ => None,
            })
            .collect()
    }

    /// The error of a quorum that was not reached. Owners that are still waited for are a cause only of a deadline that passed.
    pub(super) fn shortfall(&self, kind: ErrorKind, message: &str, owners: &[NodeId]) -> Error {
        let causes = owners.iter().zip(&self.replicas).filter_map(|(node, replica)| {
            let kind = match replica {
                Replica::Failed(cause) => *cause,
                Replica::Damaged(_) => ErrorKind::Damaged,
                Replica::Recovering(..) => ErrorKind::Recovering,
                Replica::Waiting if kind == ErrorKind::DeadlineExceeded => kind,
                Replica::Waiting | Replica::NotAsked | Replica::Absent | Replica::Record(_) => return None,
            };
            Some(Cause { node: *node, kind })
        });
        Error::new(kind, message).with_quorum(QuorumShortfall {
            needed: self.needed as u8,
            got: self.votes() as u8,
            causes: causes.collect(),
        })
    }
}
