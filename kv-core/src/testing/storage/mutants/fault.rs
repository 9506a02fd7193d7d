/// What is wrong with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// A get adds to what the caller's buffer holds.
    GetAppends,
    /// A value above 8 MiB is cut.
    LargeValueCut,
    /// A key that is too long is cut instead of refused.
    LongKeyCut,
    /// A batch is applied from its end.
    BatchReversed,
    /// A refused batch leaves its first change.
    RefusedBatchLeavesPart,
    /// Going on after a key leaves out the next one.
    ScanSkipsOne,
    /// Going on after a key repeats it.
    ScanRepeatsOne,
    /// A scan does not stop when the page is full.
    ScanOverfillsPage,
    /// A scan returns the end of the range too.
    ScanIncludesEnd,
    /// A scan returns the entries from the last to the first.
    ScanDescends,
    /// A range deletion removes its end too.
    DeleteRangeIncludesEnd,
    /// A range deletion keeps its start.
    DeleteRangeKeepsStart,
    /// A range deletion to the end of the map does nothing.
    DeleteRangeNeedsEnd,
    /// Range deletions come before the puts of their batch.
    DeleteRangeFirst,
    /// `get_many` reads key by key.
    GetManyOfTwoStates,
    /// `get_many` leaves out absent keys.
    GetManySkipsAbsent,
    /// `get_many` goes from the last key to the first.
    GetManyReversed,
    /// A batch is applied in two steps that readers can tell.
    HalfABatchVisible,
    /// A thread that has read a key is given the same value again.
    StaleReads,
    /// A batch for which there is no room leaves its first changes.
    FullBatchLeavesPart,
    /// No batch is taken any more after one for which there was no room.
    StopsWhenFull,
    /// The first change of the last batch is lost when the store is closed.
    LosesPartOnClose,
    /// A store can be opened as often as one likes.
    NoOwner,
    /// A closed store stays locked.
    LockedForEver,
    /// Scans and stats fail while a batch is applied.
    ReadsFailBesideWriter,
    /// Only the first thread that wrote may write.
    WriterBoundToThread,
    /// `stats` counts puts.
    CountsPuts,
    /// `stats` gives a round figure.
    CountsRoughly,
}

impl Fault {
    /// Every fault and the bullets that it breaks.
    pub(super) const ALL: &[(Fault, &[&str])] = &[
        (Fault::GetAppends, &["S-01"]),
        (Fault::LargeValueCut, &["S-02"]),
        (Fault::LongKeyCut, &["S-02"]),
        (Fault::BatchReversed, &["S-03", "S-05"]),
        (Fault::RefusedBatchLeavesPart, &["S-03", "S-08"]),
        (Fault::ScanSkipsOne, &["S-04"]),
        (Fault::ScanRepeatsOne, &["S-04"]),
        (Fault::ScanOverfillsPage, &["S-04"]),
        (Fault::ScanIncludesEnd, &["S-04"]),
        (Fault::ScanDescends, &["S-04"]),
        (Fault::DeleteRangeIncludesEnd, &["S-05"]),
        (Fault::DeleteRangeKeepsStart, &["S-05"]),
        (Fault::DeleteRangeNeedsEnd, &["S-05"]),
        (Fault::DeleteRangeFirst, &["S-05"]),
        (Fault::GetManyOfTwoStates, &["S-06"]),
        (Fault::GetManySkipsAbsent, &["S-06"]),
        (Fault::GetManyReversed, &["S-06"]),
        (Fault::HalfABatchVisible, &["S-06", "S-07"]),
        (Fault::StaleReads, &["S-07"]),
        (Fault::FullBatchLeavesPart, &["S-08"]),
        (Fault::StopsWhenFull, &["S-08"]),
        (Fault::LosesPartOnClose, &["S-09"]),
        (Fault::NoOwner, &["S-10"]),
        (Fault::LockedForEver, &["S-08", "S-09", "S-10"]),
        (Fault::ReadsFailBesideWriter, &["S-11"]),
        (Fault::WriterBoundToThread, &["S-11"]),
        (Fault::CountsPuts, &["S-12"]),
        (Fault::CountsRoughly, &["S-12"]),
    ];
}
