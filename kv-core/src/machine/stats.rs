/// Counts of what a machine did since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachineStats {
    /// Gets that ended with an answer.
    pub gets_answered: u64,
    /// Gets that failed.
    pub gets_failed: u64,
    /// Puts and deletes that were applied.
    pub puts_applied: u64,
    /// Puts and deletes that were not.
    pub puts_not_applied: u64,
    /// Puts and deletes whose outcome is unknown.
    pub puts_indeterminate: u64,
    /// Pages of scans that were answered.
    pub scans_answered: u64,
    /// Pages of scans that failed.
    pub scans_failed: u64,
    /// Records sent to owners that were behind, this node among them.
    pub repairs: u64,
    /// Puts handed to an owner.
    pub forwarded: u64,
    /// Operations refused because too many were under way.
    pub shed: u64,
}
