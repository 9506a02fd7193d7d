//! The ways in which a test breaks the rule.

use clap::ValueEnum;

/// One part of the rule, broken or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Variant {
    /// What is due is dropped on entering `since + 1`.
    ReapsAfterOne,
    /// What is due is dropped on entering `since + 2`.
    ReapsAfterTwo,
    /// What is due is dropped on entering `since + 3`, as the first design has it.
    ReapsAfterThree,
    /// An exchange with one other replica is enough to enter the next epoch.
    OneExchangeIsEnough,
    /// An exchange with a replica that is in an earlier epoch counts.
    CountsThoseBehind,
    /// An exchange that was finished in an earlier life of the store counts.
    EarlierLivesCount,
    /// An exchange that was finished in an earlier epoch counts.
    EarlierExchangesCount,
    /// A replica that meets one in a later epoch enters it at once, as the first design has it.
    FollowsAtOnce,
    /// A replica enters the next epoch although a stand-in has older copies.
    TurnsWithoutStandIns,
    /// A replica asks the stand-ins, and meets others that have not.
    OthersNeedNotAsk,
    /// A coordinator counts a stand-in that took a frame of the epoch before its own.
    CountsEarlierStandIns,
    /// A coordinator counts a stand-in although in its present life nobody has answered it.
    CountsBeforeMeeting,
    /// A coordinator counts a stand-in although only one replica that was not ahead of it has answered in its present life.
    CountsAfterMeetingOne,
    /// The same, but never while it is recovering.
    CountsAfterMeetingOneAndWhole,
    /// A coordinator counts a stand-in although those that answered it in its present life were ahead.
    CountsAfterMeetingAhead,
    /// Records are taken however old they are.
    NoFence,
    /// Records are taken from one epoch further back.
    WideFence,
    /// A stand-in delivers under the epoch of the day.
    DeliveryRestamps,
    /// A stand-in keeps one copy for an owner, with the lowest epoch of what it was made from, as the first design has it.
    CopyTakesLowest,
    /// A stand-in keeps one copy for an owner, with the highest epoch of what it was made from.
    CopyTakesHighest,
    /// A store that is two epochs behind or more is brought up to date as it is.
    FarBehindMerges,
    /// A version that arrives was held since now, whatever its sender says.
    OwnSince,
    /// A version that arrives was held since its sender says, whatever the epoch: since it was made.
    SendersSince,
    /// `since` is compared with the receiver's epoch and not with that in which the records were read, as the first design has it.
    SinceByReceiver,
    /// A replica keeps its `since` although another knows an earlier one.
    SinceIsNotLowered,
    /// Only exchanges say since when a version was held.
    OnlyExchangesSaySince,
    /// `since` is the epoch in which the version was made, everywhere; what is due is dropped on entering `since + 5`.
    BornAfterFive,
    /// The next counter of an actor is one above what the record knows, from an actor without births.
    CounterFromRecord,
    /// A store that is opened again keeps its incarnation.
    KeepsIncarnation,
    /// A replica that lost its store votes.
    RecoveringVotes,
    /// A version that arrives due covers what it covers, although it is not kept.
    DueCovers,
    /// Two copies of one version have the union of their pasts.
    PastsUnite,
    /// Of two copies of one version a replica keeps its own past.
    OwnPastStays,
    /// A coordinator counts an owner only if it took a frame of its present epoch or the one before.
    OwnersCountByEpoch,
    /// As it is built: a replica asks the stand-in for copies older than the lowest epoch of any replica that it has exchanged with, and another that asked
    /// for its epoch or a later one counts as met. A stand-in takes nothing from then on that is older, so that whoever sent it may count it.
    StandInsPromise,
    /// The same, and a replica keeps beside a record since when each name is in its pasts: a name goes from them by that, although the version in whose past
    /// it is may be younger, and goes again wherever it comes back until four more epochs are over.
    NamesAge,
    /// The same, and names go on entering `since + 2`.
    NamesAgeAfterTwo,
    /// What a replica has seen and does not hold was deleted, as node-wide clocks have it.
    SeenMeansDeleted,
}

impl Variant {
    /// Whether names go from pasts by their own age.
    pub(super) fn names_age(self) -> bool {
        matches!(self, Variant::NamesAge | Variant::NamesAgeAfterTwo)
    }

    /// Whether the rule may be so too: no walk and no story finds it.
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            Variant::FollowsAtOnce
                | Variant::StandInsPromise
                | Variant::NamesAge
                | Variant::DueCovers
                | Variant::PastsUnite
                | Variant::OwnPastStays
                | Variant::OwnersCountByEpoch
        )
    }
}
