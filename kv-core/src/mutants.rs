//! Deliberately broken variants of the node, one at a time per thread, to prove that the checkers find them. In a build without the feature
//! `mutants` none can be chosen and all of this compiles to nothing.

/// One way to break the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Mutant {
    ContinuesCounterOfRepairedRecord,
    KeepsActorAfterFailedCommit,
    PutAnswerCoversRecord,
    SendsVersionInsteadOfRecord,
    DamagedCountsAsMissing,
    WriteClearsDamage,
    BlindPutReplaces,
    AcknowledgesBeforeCommit,
    FailedCommitCountsAsCommit,
    ForgetsW,
    ForgetsR,
    DuplicatedAnswerCountsTwice,
    StampsBelowContext,
    MergeCapsSiblings,
    MergeOverwrites,
    RecoveringVotes,
    ReusesIncarnationAfterRestart,
    ForwardRunsTwice,
    DeleteRemovesRecord,
    ContextOmitsTombstones,
    TimedOutPutSaysNotApplied,
    OverwriteReadsOneReplica,
    ContextIsRoundedUp,
    MergeDropsPasts,
    StaleSourcesHeal,
    HealsAtOnce,
    StaleForwardIsTriedAgain,
    ChecksumIsIgnored,
    RepairsAreNotSent,
    RepairsConvergedReplicas,
    BirthForEveryMint,
    ScanGoesAsFarAsAny,
    ScanTrustsAnyReplica,
    ScanListsDeleted,
    CopiesAreReleasedWhenSent,
    CopiesGoToAnyOwner,
    StandInsPassForOwners,
    RecoveringIsInTrees,
    LastLeafIsSkipped,
    ComparesWithoutRepair,
    ReapsAfterThree,
    SinceIsAlwaysBelieved,
    OthersNeedNotAsk,
    CountsThoseBehind,
    TurnsWithoutStandIns,
    RecoveringPartitionVotes,
    NoFence,
    StandInsTakeAnyEpoch,
    FarBehindMerges,
    ExpiryIsIgnored,
    OlderValueAfterExpiry,
    ExpireBeatsSet,
    ExpiryComesEarly,
    TwinsAreShown,
    RetryWritesAgain,
    AbsentAreAsked,
    RepairsAreUnbounded,
    ReplicasRefuseStamps,
    MergeCombines,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: &'static [Mutant] = &[
        Mutant::ContinuesCounterOfRepairedRecord,
        Mutant::KeepsActorAfterFailedCommit,
        Mutant::PutAnswerCoversRecord,
        Mutant::SendsVersionInsteadOfRecord,
        Mutant::DamagedCountsAsMissing,
        Mutant::WriteClearsDamage,
        Mutant::BlindPutReplaces,
        Mutant::AcknowledgesBeforeCommit,
        Mutant::FailedCommitCountsAsCommit,
        Mutant::ForgetsW,
        Mutant::ForgetsR,
        Mutant::DuplicatedAnswerCountsTwice,
        Mutant::StampsBelowContext,
        Mutant::MergeCapsSiblings,
        Mutant::MergeOverwrites,
        Mutant::RecoveringVotes,
        Mutant::ReusesIncarnationAfterRestart,
        Mutant::ForwardRunsTwice,
        Mutant::DeleteRemovesRecord,
        Mutant::ContextOmitsTombstones,
        Mutant::TimedOutPutSaysNotApplied,
        Mutant::OverwriteReadsOneReplica,
        Mutant::ContextIsRoundedUp,
        Mutant::MergeDropsPasts,
        Mutant::StaleSourcesHeal,
        Mutant::HealsAtOnce,
        Mutant::StaleForwardIsTriedAgain,
        Mutant::ChecksumIsIgnored,
        Mutant::RepairsAreNotSent,
        Mutant::RepairsConvergedReplicas,
        Mutant::BirthForEveryMint,
        Mutant::ScanGoesAsFarAsAny,
        Mutant::ScanTrustsAnyReplica,
        Mutant::ScanListsDeleted,
        Mutant::CopiesAreReleasedWhenSent,
        Mutant::CopiesGoToAnyOwner,
        Mutant::StandInsPassForOwners,
        Mutant::RecoveringIsInTrees,
        Mutant::LastLeafIsSkipped,
        Mutant::ComparesWithoutRepair,
        Mutant::ReapsAfterThree,
        Mutant::SinceIsAlwaysBelieved,
        Mutant::OthersNeedNotAsk,
        Mutant::CountsThoseBehind,
        Mutant::TurnsWithoutStandIns,
        Mutant::RecoveringPartitionVotes,
        Mutant::NoFence,
        Mutant::StandInsTakeAnyEpoch,
        Mutant::FarBehindMerges,
        Mutant::ExpiryIsIgnored,
        Mutant::OlderValueAfterExpiry,
        Mutant::ExpireBeatsSet,
        Mutant::ExpiryComesEarly,
        Mutant::TwinsAreShown,
        Mutant::RetryWritesAgain,
        Mutant::AbsentAreAsked,
        Mutant::RepairsAreUnbounded,
        Mutant::ReplicasRefuseStamps,
        Mutant::MergeCombines,
    ];
}

impl Mutant {
    /// Those that tests of the machine find (`kv-core/tests/machine/mutants.rs`) and the simulator is not asked to, because it comes upon them once in
    /// some thousand seeds or less often. The rule that all but the first break is a model too, over which walks find such breaks (`docs/epochs.md`).
    pub const FOUND_BY_TESTS: &'static [Mutant] = &[
        Mutant::ScanListsDeleted,
        Mutant::SinceIsAlwaysBelieved,
        Mutant::OthersNeedNotAsk,
        Mutant::CountsThoseBehind,
        Mutant::TurnsWithoutStandIns,
        Mutant::StandInsTakeAnyEpoch,
        Mutant::FarBehindMerges,
    ];
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Breaks the node on this thread in that way, or in none.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    #[inline]
    pub(crate) fn on(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use chosen::choose;
#[cfg(feature = "mutants")]
pub(crate) use chosen::on;

#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn on(_: Mutant) -> bool {
    false
}
