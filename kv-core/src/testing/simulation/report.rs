use std::fmt;

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed, which alone makes the same run again.
    pub seed: u64,
    /// What went against a promise; empty if nothing did.
    pub violations: Vec<Violation>,
    /// A hash over everything that happened, in order.
    pub trace_hash: u64,
    /// Nodes.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
    /// Client operations that were begun.
    pub operations: u64,
    /// Operations that were answered as the client wanted.
    pub operations_succeeded: u64,
    /// Gets that the checkers judged.
    pub reads_checked: u64,
    /// Writes that the checkers judged.
    pub writes_checked: u64,
    /// Virtual time while clients were busy, in microseconds.
    pub simulated_us: u64,
    /// Crashes, pauses, cuts, slow links, jumps of clocks, failures of storages, flipped bits, stores replaced.
    pub faults_injected: u64,
    /// Messages that were lost or doubled.
    pub message_faults: u64,
    /// Bits that were flipped in stored records.
    pub bits_flipped: u64,
    /// Stores that were lost, or put back as they once were.
    pub stores_replaced: u64,
    /// Mean time between the beginnings of two operations on one key, in microseconds.
    pub mean_key_gap_us: u64,
    /// Mean round trip of ordinary messages, in microseconds.
    pub mean_rtt_us: u64,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Something that went against a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub check: Check,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.message)
    }
}

/// A promise that a checker watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// An acknowledged write is there in the end, or was replaced.
    NoWriteLost,
    /// A read shows only what somebody wrote to that key, and had begun to write.
    NoStrangeValue,
    /// A write that was not applied never appears.
    NotAppliedStaysAway,
    /// A dot names one write, and a write has one dot.
    DotsAreUnique,
    /// Values that are shown together are concurrent; a bucket that goes by stamps shows one.
    SiblingsAreConcurrent,
    /// A get that starts after an acknowledged put, R + W > N, shows it or what replaced it, and nothing that it replaced.
    ReadsAreRegular,
    /// An overwrite that starts after an acknowledged put, R + W > N, replaces it.
    OverwritesAreRegular,
    /// A page of a scan has each key once, in order, and none from outside of its range.
    PagesAreInOrder,
    /// What was kept for an absent owner reaches it.
    CopiesAreDelivered,
    /// The digests by which nodes compare what they hold are those of what is stored.
    TreesAreTrue,
    /// What is deleted leaves the stores.
    DeletedIsGone,
    /// A put that all owners acknowledged leaves each of them with what its coordinator had.
    WholeRecordsTravel,
    /// When faults are over and every key was read from all replicas, all nodes answer the same and all owners store the same.
    ReplicasConverge,
    /// Converged replicas are not repaired.
    ConvergedNeedNoRepair,
    /// A record is on its way to an owner once at a time, however often it is read meanwhile.
    RepairsAreBounded,
    /// No get shows a value that had expired by its coordinator's clock when it began.
    ExpiredIsNotShown,
    /// A value expires when its put, or a change of its expiry, said, and a change of an expiry shows no value that a put replaced.
    ExpiriesAreKept,
    /// A put that is tried again after it was made is not made anew.
    RetriesAreRecognised,
    /// A record does not outgrow what is alive in it.
    RecordsStaySmall,
    /// When faults are over operations succeed.
    ServiceComesBack,
    /// While one node is away operations on keys of which a majority of owners is left go on, and hardly slower.
    MajorityGoesOn,
    /// A message comes out of its encoding as it went in.
    MessagesKeepTheirMeaning,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Check::NoWriteLost => "no acknowledged write lost",
            Check::NoStrangeValue => "no value that nobody wrote",
            Check::NotAppliedStaysAway => "a write that was not applied stays away",
            Check::DotsAreUnique => "no dot twice",
            Check::SiblingsAreConcurrent => "siblings only for concurrent writes",
            Check::ReadsAreRegular => "regular reads",
            Check::OverwritesAreRegular => "regular overwrites",
            Check::PagesAreInOrder => "pages are in order",
            Check::CopiesAreDelivered => "copies are delivered",
            Check::TreesAreTrue => "trees are true",
            Check::DeletedIsGone => "what is deleted goes",
            Check::WholeRecordsTravel => "whole records travel",
            Check::ReplicasConverge => "convergence",
            Check::ConvergedNeedNoRepair => "no repair of converged replicas",
            Check::RepairsAreBounded => "bounded repairs",
            Check::ExpiredIsNotShown => "nothing that expired is shown",
            Check::ExpiriesAreKept => "expiries are kept",
            Check::RetriesAreRecognised => "retries are recognised",
            Check::RecordsStaySmall => "bounded record growth",
            Check::ServiceComesBack => "service comes back",
            Check::MajorityGoesOn => "a majority goes on",
            Check::MessagesKeepTheirMeaning => "messages keep their meaning",
        })
    }
}
